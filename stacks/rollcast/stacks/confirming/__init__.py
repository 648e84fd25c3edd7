"""What a milestone waits for before it is begun: who confirmed or denied it, and how programs and webhooks hear of it.

Answers are records of the ledger, written by `rollcast approve` for people and by the driver for programs and webhooks.
Read `answers`, then `asking`, then `asker`.
"""
