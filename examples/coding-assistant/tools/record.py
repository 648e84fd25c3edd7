"""Records the traffic of this example by running it: its first release, two minutes of work, `rollcast record`.

Run in a checkout: python examples/coding-assistant/tools/record.py. It writes traffic/completions.jsonl.gz and prints
what `rollcast calibrate` makes of it.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent.parent))

from demos.recording import record

if __name__ == "__main__":
    attributes = ("segment", "editor_version", "repository", "language")
    record(Path(__file__).resolve().parent.parent, "traffic/completions.jsonl.gz", attributes)
