"""`rollcast.yaml` as typed models, and as a JSON Schema for editors.

What a user may write stands in `models` and nowhere else; what it means together is checked in `loading`. Read
`models`, then `schema`.
"""
