"""What everything that touches the world stands on: errors, clock, secrets, files that are whole or absent, events.

Read `errors`, `atomic_files`, `failpoints`, `clock`.
"""
