"""The ledger: the append-only, hash-chained record of every decision, and the lease that lets one process act.

`Ledger` is all that the rest of the product needs. Records and documents can be added and never changed (the database
itself refuses); positions and leases are the only rows that move. Every write of a rollout carries the lease's fencing
token and is refused, in the same transaction, when another process has taken over.
"""
