"""One replay: the rollout's own state machine in simulated time, on recorded requests.

Nothing here decides what a rollout does. Read `inputs`, `routing`, `outcomes`, `faults`, `request_log`,
`durations`, `spending`, `replay`.
"""
