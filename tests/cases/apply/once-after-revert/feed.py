"""400 users, none of whom fails."""

from plane import Plane, close

plane = Plane("alpha")
plane.write(plane.record(f"user-{i}") for i in range(400))
close()
