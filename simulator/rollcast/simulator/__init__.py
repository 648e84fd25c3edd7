"""Plan and traffic in, forecast out: a replay of recorded requests through a planned rollout.

Nothing here decides what a rollout does: `rollcast.planner` does, for the simulator and for the live rollout alike.
Read it in the order of the data: `traffic` -> `stations` -> `engines` -> `replay` -> `forecast`; `calibration`
makes profiles.
"""
