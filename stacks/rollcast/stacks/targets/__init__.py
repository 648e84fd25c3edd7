"""An environment's target: where its flags are, and as what its components run; opened from what is declared.

`target:` in a declaration is the short form of `flags:` and `instances:`. Read `opening`, `target`, `addresses`.
"""
