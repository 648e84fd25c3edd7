"""One comment on a pull or merge request, kept up to date: found again by its mark, changed in place, never doubled.

Only a comment that this token's own user wrote is changed: anybody can write our mark. A comment that can't be written
(a fork's token may only read) is an error of its own and never the result of a check.
"""
