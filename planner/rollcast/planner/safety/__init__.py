"""The invariants, and what can be observed on the way through a plan: checked before anyone sees it.

Nothing here plans: it proves or refuses what `planning` made. Read `compatibility`, `cluster_state`, `reachable`,
`invariants`.
"""
