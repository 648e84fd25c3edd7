"""The Pulumi provider: resources that change a target, each operation idempotent, each write with a fencing token.

`plugin` is the executable that engines attach to; `resources` says what each type does. What exists is read from the
target itself, never from what Pulumi remembers: a half-done or forgotten operation is found by the next `diff`.
"""

ATTACHED = "--attached"  # the word that starts it for engines that attach to it
