"""The reference engine: simpy, readable, and open to stations of a user's own."""
