"""What every other room of the planner stands on: errors, sentences, small values, places in a text, keys, audiences.

Nothing here knows of releases or plans. Read it in this order: `errors`, `sources`, `values`, `keys`, `audiences`,
`buckets`, `wording`.
"""
