"""Records the traffic of this example by running it: its first release, two minutes of calls, `rollcast record`.

Run in a checkout: python examples/transcription/tools/record.py. It writes traffic/calls.jsonl and prints what
`rollcast calibrate` makes of it. The calls are built first, which is why it takes longer.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent.parent))

from demos.recording import record

if __name__ == "__main__":
    example = Path(__file__).resolve().parent.parent
    attributes = ("accent", "line", "region")
    record(example, "traffic/calls.jsonl", attributes, load=("--rate", "4"), longer_s=20, each_replica=False)
