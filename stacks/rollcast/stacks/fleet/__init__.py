"""The data plane as the driver sees it: every replica, at its address or through relays, and what it says of itself.

Nothing here knows where flags or instances are kept. Read `control`, `relays`, `fleet`, `inspection`.
"""
