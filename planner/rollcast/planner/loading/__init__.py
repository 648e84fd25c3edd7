"""Text to a declaration, with the line and column of everything that is wrong.

All mistakes are said at once. Read `loader`, `wording` and `error_recovery` (mistakes of shape), `cross_checks`,
`kind_settings` (what a plugin's kind takes), `literal_secrets`.
"""
