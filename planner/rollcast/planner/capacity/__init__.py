"""What fits: instances against the room of an environment and its regions.

`fit` answers whether it does; `prices` says what it costs; `in_place` decides who is overwritten where two versions
don't fit. Read them in this order.
"""
