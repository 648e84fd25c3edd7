"""Environments in sequence: whether a release may enter an environment, by what it did in the one before.

Read `periods` (how long a release served, and whether it was rolled back), `approvals` (who agreed to a plan), `rule`
(both held against what the environment declares). Nothing here reads a target: all of it is in the ledger.
"""
