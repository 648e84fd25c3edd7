"""Which versions may work together, and what therefore must switch together or come first.

Knows declared contracts only, no traffic and no time. Read `edges`, `groups` (synchronization groups), `upstream`.
"""
