"""What every other room of the simulator stands on: errors, random numbers by purpose, compiled functions.

Random numbers belong to (seed, request, component, purpose) and never to the order of events. Read `draws` first.
"""
