"""Gates: any-time-valid tests of a new release against its concurrent baseline.

The simulator and the live rollout feed the same `StageGates`; there is no second implementation.
"""
