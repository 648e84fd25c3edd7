"""400 users at times without a zone, as a service writes them that logs UTC; whoever is served by version 2 fails."""

from datetime import UTC, datetime

from plane import Plane, close

plane = Plane("alpha")
records = [plane.record(f"user-{i}") for i in range(400)]
for record in records:
    record["error"] = plane.version(record) == "p@2"
    record["time"] = datetime.fromtimestamp(record["time"], UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
plane.write(records)
close()
