"""Deliberate bugs in the planner, the rollout, the router and the checks, which the property tests must find.

    python -m tests.policies.seeded_bugs            # every bug, and how it was found
    python -m tests.policies.seeded_bugs index      # those whose name has this word

A bug is a change of a few words in a module's source, put into the running code and taken out again.
"""
