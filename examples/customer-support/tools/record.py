"""Records the traffic of this example by running it: two minutes of conversations with its first release.

Run in a checkout: python examples/customer-support/tools/record.py. It writes traffic/chats.jsonl.gz and prints what
`rollcast calibrate` makes of it.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent.parent))

from demos.recording import record

if __name__ == "__main__":
    attributes = ("segment", "region", "regulatory_domain")
    record(Path(__file__).resolve().parent.parent, "traffic/chats.jsonl.gz", attributes)
