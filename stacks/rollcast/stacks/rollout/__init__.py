"""A rollout in real time: the planner's state machine, with the engine for hands and telemetry for eyes.

Decisions are the planner's; here they are carried out, kept, and reported. Read `start`, `driver`, `milestones`,
`observation`, `evidence`, `checkpoint`, `steering`, `supersede`,
`stale_plan`, `drift`, `restore`, `recorded`, `status`, `notifications`.
"""
