"""Releases: whole pipeline configurations by content, and what differs between two of them.

A release never changes; another content is another release. Read `releases`, then `changes` and
`lineage`.
"""
