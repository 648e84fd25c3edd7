"""400 users whose key is a JSON number, or who have no key ('null', 'absent'); whoever is served by version 2 fails."""

import sys

from plane import Plane, close

plane = Plane("alpha")
records = [plane.record(1000 + i) for i in range(400)]
for record in records:
    record["error"] = plane.version(record) == "p@2"
    if sys.argv[1] == "null":
        record["key"] = None
    elif sys.argv[1] == "absent":
        del record["key"]
plane.write(records)
close()
