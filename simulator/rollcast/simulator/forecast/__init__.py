"""From a plan and traffic to a forecast: many runs, what they measure, what is said of them.

Read `simulate` (the entry), `runs`, `measures`, `timeline`, `intervals`, `costs`, `summary`, `detection`, `margins`;
`models` is the result as data.
"""
