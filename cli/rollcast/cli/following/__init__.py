"""`rollcast controller` behind its command: the loop that follows a source, its processes, its HTTP side, its words.

Every environment is carried out by the command `apply --once` itself, in a process of its own that is forked from one
in which everything is loaded: a project's policies, its memory and its end are its own, and a look costs no start-up.
Read `events`, `workers`, `looks`, `exposition`, `statuses`, `access`, `http`, `controller`.
"""
