"""Artifacts as content: what is pinned, where it is kept, and the folder that it becomes.

What `apply` uses is what the lock names. Read `recipes`, `lock`, `resolving`, then `cache` and `building`.
"""
