"""A data plane in a few lines: asks the flag who is served by what, and writes telemetry lines.

The flag is evaluated by the OpenFeature provider for flagd, as a real service does it.
"""

import itertools
import json
import time
from pathlib import Path

from openfeature import api
from openfeature.contrib.provider.flagd import FlagdProvider
from openfeature.contrib.provider.flagd.config import ResolverType
from openfeature.evaluation_context import EvaluationContext

COUNT = itertools.count()


class Plane:
    """What serves in a project folder."""

    def __init__(self, pipeline, live=".rollcast/live", definition=None):
        self.pipeline, self.live = pipeline, Path(live)
        path = str(definition or self.live / "flags.json")
        api.set_provider_and_wait(FlagdProvider(resolver_type=ResolverType.FILE, offline_flag_source_path=path))
        self.flags = api.get_client()

    def serving(self, key, attributes=None):
        """The whole configuration that serves this user."""
        return self.flags.get_object_value(f"rollcast-{self.pipeline}", {}, EvaluationContext(key, attributes or {}))

    def record(self, key, **fields):
        """One request of a user as a telemetry record. The flag gets `key` as text."""
        release = self.serving(str(key))
        return {
            "time": time.time(),
            "request": f"r{next(COUNT)}-{time.time_ns()}",
            "key": key,
            "channel": release.get("channel"),
            "release": release.get("release"),
            "components": {slot: part["artifact"] for slot, part in release.get("components", {}).items()},
            "attributes": {},
            "latency_s": 0.01,
            "error": False,
            **fields,
        }

    def version(self, record, slot="answer"):
        """Which artifact served a record."""
        return record["components"].get(slot)

    def write(self, records):
        """Appends telemetry."""
        folder = self.live / "telemetry"
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "requests.jsonl").open("a", encoding="utf-8") as log:
            for record in records:
                log.write((record if isinstance(record, str) else json.dumps(record)) + "\n")


def close():
    """Ends the provider's threads."""
    api.shutdown()
