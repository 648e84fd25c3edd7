"""The plan as data: what is shown, simulated, checked and carried out, and the order of its operations.

Readers add nothing to a plan and decide nothing. Read `models`, `precedence`, `drains`.
"""
