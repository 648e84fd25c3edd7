"""A ledger moves: from a file of one person's project to a database that a team shares, and back.

Read `rows` (what is copied, and how both sides are held against each other), then `move` (the order of it all, and what
a move leaves that was killed between two steps). Pulumi's stacks are carried by the room of the engine.
"""
