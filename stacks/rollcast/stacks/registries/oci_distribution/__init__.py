"""The protocol of OCI registries, as far as reading takes it: names, manifests, and whom a registry lets in.

Nothing here knows what an artifact is; `oci` beside it does. Read `references`, `manifests`, `credentials`, `tokens`,
`repository`.
"""
