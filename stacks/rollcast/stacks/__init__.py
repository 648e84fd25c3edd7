"""Everything that touches the world: flags, instances, telemetry, registries, the engine, the ledger, the rollout.

What it does is decided in `rollcast.planner`. Read it in this order: `project`, `registries`, `flags`, `instances`,
`targets`, `telemetry`, `ledger`, `notifying`, `engine` and `provider`, `state`, `rollout`.
"""
