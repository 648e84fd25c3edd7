"""A project's rules: found, run, judged.

Whatever a rule does, there is one judgement each. Read `discovery`, `evaluation`, `judging`.
"""
