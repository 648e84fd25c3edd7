"""Two engines that serve a network and agree: the reference on simpy, and the compiled one.

`interface` is what a replay may ask of either; `choice` says which one serves. A new station begins in `reference`.
"""
