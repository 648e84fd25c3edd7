"""Gates: any-time-valid tests of a new release against its concurrent baseline.

The simulator and the live rollout feed the same `StageGates`; there is no second implementation.

The statistics: e-values of rates in `rates` (its distribution in `binomial`), of means in `means`, of quantiles in
`quantiles`; `dispersion` widens them, `sample_ratio` tests the split, `completeness` what left no outcome. A gate turns
one of them into a verdict (`gate`, and a module for each kind), `stage` holds all of a stage, `power` says before a
rollout what they can see. Read `outcomes`, `rates`, `gate`, `stage`.
"""
