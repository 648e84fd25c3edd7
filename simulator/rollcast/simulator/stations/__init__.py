"""A plan as a network of stations: performance profiles, times, and the path of each release's requests.

Stations of a project's own are loaded by `custom`. Read `profiles`, `distributions`, `network`.
"""
