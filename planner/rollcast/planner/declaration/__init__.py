"""`rollcast.yaml` as typed models, and as a JSON Schema for editors.

What a user may write stands in `models` and `receivers`; what it means together is checked in `loading`. Read `strict`,
`receivers`, `models`, then `schema`.
"""
