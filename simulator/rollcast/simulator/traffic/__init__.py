"""Recorded traffic: its forms, its fields, and the requests that a replay makes of it.

What a trace does not record is derived by a seeded rule in `synthetic`, and nowhere else. Read `recording`,
`formats`, `fields`, `spans`, `arrivals`.
"""
