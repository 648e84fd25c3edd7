"""The search for percentages and bakes: which ways of a canary catch a harm in time, with the fewest users harmed.

It decides nothing about a rollout: each way is planned by `rollcast.planner` and forecast as any plan is. Read `ways`
(what is tried), then `search` (how).
"""
