"""200 good records, and one line that is valid JSON and no good: 'integer', 'surrogate-key', 'surrogate-release' or 'deep'."""

import json
import sys
import time

from plane import Plane, close

plane = Plane("alpha")
records = [plane.record(f"u{i}") for i in range(200)]
bad = plane.record("u1")
if sys.argv[1] == "integer":
    bad["latency_s"] = 0
    line = json.dumps(bad).replace('"latency_s": 0', '"latency_s": ' + "9" * 400)
elif sys.argv[1] == "surrogate-key":
    line = json.dumps({**bad, "key": "\ud800"})
elif sys.argv[1] == "surrogate-release":
    line = json.dumps({**bad, "release": "\ud800"})
else:
    line = '{"time": ' + str(time.time()) + ', "x": ' + "[" * 3000 + "]" * 3000 + "}"
plane.write([*records[:100], line, *records[100:]])
close()
