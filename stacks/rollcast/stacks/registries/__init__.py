"""Where content is looked up and fetched from: one module for each scheme of an artifact's `source`.

What they share: `sources` (what a registry must answer), `transfer` and `unpacking` (how its bytes reach the disk),
`trees` (what files are, by digest),
`http_client` (how it is spoken to) and `limits`. `oci_distribution` is what `oci` reads with, `s3_client` and
`s3_objects` what `s3` does. To add a kind, write a class as in `file` or `http` and register it as an entry point.
"""
