"""A ledger that was lost: from what the target says, to one that goes on. Who is served by what does not change.

Nothing is guessed: what the target does not say is named, and kept in the new ledger as not known. Read `lost` (what is
wrong with the ledger), `finding` (what the target says, and who may not be at work), `taking_over`, `settling`.
"""
