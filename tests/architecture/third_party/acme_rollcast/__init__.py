"""Kinds of somebody else's, for every seam of rollcast."""
