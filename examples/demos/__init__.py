"""What the demos of the examples share: replicas behind haproxy, commands, load, the check of telemetry, the last line.

`building`, `instances`, `answering` and `errors` are what a builder of an artifact and a data plane need whatever they
are about;
`drawing` is what a load draws by a seed, and `recording` makes the recorded traffic of an example.

Not an example itself. `rollcast init --example NAME` and each demo copy this folder beside the `demo.py` that needs it,
so that a copied project is whole. Read `replicas`, `counting`, `demo`; `replay` runs in the process of a load.
"""
