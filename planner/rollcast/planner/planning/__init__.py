"""From what is live and what is declared to a plan: groups become steps, steps become waves of milestones.

The only room that builds plans. Read `planner` (the entry), `steps`, `waves`, `expand`, `shift`, `rollback`,
`sessions`, `builder`, `settlement`.
"""
