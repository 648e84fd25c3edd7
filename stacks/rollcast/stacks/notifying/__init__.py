"""Notifications: what receivers hear of a rollout, from the ledger's own records, each at least once and in order.

The ledger is the queue: what is worth a notification is a record that was written with the rollout's own step, so that
no crash loses one, and its hash is the id that a receiver drops repeats by. What is kept besides is, for each receiver,
how far it got. Read `messages` (a record as a notification), `forms` (its body for a receiver), `signing`, `posting`
(one try), `queue` (what is next, tried again, given up), `sender` (beside a driver's work), `report` (what is left).
"""
