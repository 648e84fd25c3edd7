"""Artifacts as content: where they come from, what their digest covers, and the lock that pins them.

What `apply` uses is what the lock names. Read `sources` and one of `file` and `vendor`, then
`artifacts` and `lock`.
"""
