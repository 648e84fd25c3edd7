"""The live view: a page of the rollouts under way and past, read from the ledger and the data plane.

It reads, and it can leave an order (pause, promote, abort) for the process that carries the rollout on, as the commands
of these names do. It decides nothing and changes nothing itself.
"""
