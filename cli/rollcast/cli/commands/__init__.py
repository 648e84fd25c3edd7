"""One module a command, light to import; heavy parts are imported when a command runs.

`registry` names them all. Read `plan` and `apply` first.
"""
