"""What commands print on a terminal: plans, forecasts, rollouts, status.

Text only; nothing here decides or reads files. Read `plan`, then `rollout`.
"""
