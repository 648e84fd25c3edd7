"""Who is served by what: the split that the data plane evaluates, and the regions that requests never leave.

The flag and `Router` are two forms of one decision; change them together. Read `split`, then `residency`.
"""
