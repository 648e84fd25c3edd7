"""The live state, read back from the data plane's own files: never remembered, never assumed.

Read `live`, then `edits` (what a person changed by hand).
"""
