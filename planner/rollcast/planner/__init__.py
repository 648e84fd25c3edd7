"""The planner: from a declaration and what is live to a plan through safe states only.

Pure: no input or output, no clock, no randomness. The same inputs give the same plan, byte for byte.
Read it in the order of the data: `declaration` -> `releases` -> `changes` -> `constraints` and `groups`
-> `planning` -> `plan` (the data) -> `safety` (the invariants) -> `rollout` (the state machine).
"""
