"""Tests of every part. A package of its own, because some distributions install another one named `tests`."""
