"""Recorded requests: of 60 users as JSON lines, and telemetry whose users are unknown (`"key": null`)."""

import json

with open("named.jsonl", "w") as out:
    for i in range(120):
        out.write(json.dumps({"ts": float(i), "user_id": f"u{i % 60}", "tin": 10, "tout": 5}) + "\n")
with open("unknown.jsonl", "w") as out:
    for i in range(120):
        out.write(json.dumps({"time": 1_700_000_000.0 + i, "request": f"r{i}", "key": None, "latency_s": 0.1}) + "\n")
