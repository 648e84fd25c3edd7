"""whole.py DEFINITION INSTANCES PIPELINE: whether a pipeline's flag is there and every instance that it names exists.

Prints 'whole: p@1' with the artifacts that it serves, or what is wrong.
"""

import json
import sys
from pathlib import Path

definition, instances, pipeline = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
flags = json.loads(definition.read_text("utf-8"))["flags"] if definition.exists() else {}
flag = flags.get(f"rollcast-{pipeline}")
if flag is None:
    print(f"gone: {definition} has no flag rollcast-{pipeline}")
    raise SystemExit(1)
parts = [part for variant in flag["variants"].values() for part in variant.get("components", {}).values()]
lost = [part["instance"] for part in parts if not (instances / part["instance"] / "manifest.json").is_file()]
if lost:
    print(f"broken: the flag rollcast-{pipeline} names {lost[0]}, which is gone")
    raise SystemExit(1)
print("whole: " + ", ".join(sorted({part["artifact"] for part in parts})))
