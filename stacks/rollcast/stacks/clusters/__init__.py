"""A Kubernetes cluster, as far as flags and instances need one: one namespace of it, reached with the official client.

Nothing here knows what a release is. Read `access`, `failures`, `permissions`, `requests`, `cluster`, `marks`,
`fences`, `configmaps`; then `published`, and for what runs there `templates`, `readiness`, `diagnosis`.
"""
