"""Everything that touches the world: targets, telemetry, registries, the engine, the ledger, and the rollout itself.

What it does is decided in `rollcast.planner`. Read it in this order: `project`, `registries`, `targets`,
`telemetry`, `ledger`, `engine` and `provider`, `state`, `rollout`.
"""
