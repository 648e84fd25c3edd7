"""The planner: from a declaration and what is live to a plan through safe states only.

Pure: no input or output, no clock, no randomness. The same inputs give the same plan, byte for byte. Read it in the
order of the data: `declaration` -> `releases` -> `contracts` -> `plan` (the data) -> `planning` -> `safety` (the
invariants) -> `rollout` (the state machine) and `gates`. `loading` stands on top; imports go downwards only.
"""
