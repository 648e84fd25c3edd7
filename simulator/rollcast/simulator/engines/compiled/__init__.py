"""The compiled engine: the reference engine's results, many times faster.

In a network where requests pass stations in ascending order, a station's future depends only on the stations before it.
So a piece of time is served station by station instead of event by event: each station takes its arrivals of the whole
piece, in the order that the reference's clock gives them, and serves them with a small event loop of its own.
"""
