"""Text to a declaration, with the line and column of everything that is wrong.

All mistakes are said at once. Read `loader`, `error_recovery` (mistakes of shape), `cross_checks`,
`literal_secrets`.
"""
