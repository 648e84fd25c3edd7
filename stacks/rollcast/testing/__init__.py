"""Conformance suites: what every kind of a seam must answer, ours and a third party's alike, as classes for pytest.

Subclass the suite of a seam in your own tests, and give it the few things that only you can make: each says which. Our
own kinds pass the same suites. They need pytest (`pip install 'rollcast[policies]'`). Read `settings`, then the one
that you need of `registries`, `flags`, `instances`, `telemetry`, `evaluators` and `stations`.
"""
