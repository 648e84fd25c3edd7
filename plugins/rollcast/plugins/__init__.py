"""Kinds that a distribution brings: how they are found, by entry points, without importing one that nothing uses.

Nothing here knows what a kind does; the part that uses a seam says what its kinds must answer. Read `seams`, `finding`.
"""
