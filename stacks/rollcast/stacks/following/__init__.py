"""Following a source: which commit or folder declares what, who may act on it, and when an environment is looked at.

Nothing is decided here about a release: whoever follows calls `apply --once` and learns from it. Read `revision`,
`git_source`, `folder_source`, `leader`, `newest`, `schedule`.
"""
