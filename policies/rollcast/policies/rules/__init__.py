"""A rule, and all that it may judge by.

Typed, frozen, and nothing in it is read from the clock. Read `rule`, `review`, `states`; `running` holds a user's
code within limits.
"""
