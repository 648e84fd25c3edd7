"""The one state machine of a rollout, for the simulator and the live driver alike.

A second copy of a decision must never be written elsewhere. Read `state_machine`, then `detection`.
"""
