"""newer.py WHAT: what a newer version would have kept, with one more field: in the position, its tally, or the lease."""

import json
import sqlite3
import sys

ledger = sqlite3.connect(".rollcast/ledger.db")
if sys.argv[1] == "lease":
    (text,) = ledger.execute("SELECT holder FROM rollcast_leases").fetchone()
    ledger.execute("UPDATE rollcast_leases SET holder = ?, held = 1", [json.dumps({**json.loads(text), "pod": "a-7"})])
else:
    (text,) = ledger.execute("SELECT body FROM rollcast_positions").fetchone()
    kept = json.loads(text)
    (kept if sys.argv[1] == "position" else kept["tally"])["of_a_newer_version"] = 1
    ledger.execute("UPDATE rollcast_positions SET body = ?", [json.dumps(kept)])
ledger.commit()
