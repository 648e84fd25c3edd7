"""The kit's own tests, run by node: golden vectors, npm's flagd provider, requests without a server."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

from tests.dataplane_ts.building import KIT, ROOT


def test_the_tests_of_the_kit_hold_and_none_is_skipped(kit: Path) -> None:
    files = sorted(str(each) for each in (kit / "dist" / "test").glob("*.test.js"))
    assert len(files) == len(list((KIT / "test").glob("*.test.ts")))
    environment = {**os.environ, "ROLLCAST_SPEC": str(ROOT / "spec")}
    words = ["node", "--test", "--test-reporter=tap", *files]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = dict(re.findall(r"^# (pass|fail|skipped|todo|cancelled) (\d+)$", done.stdout, re.MULTILINE))
    assert int(counts.pop("pass")) >= 58
    assert set(counts.values()) == {"0"}


def test_the_kit_depends_on_nothing_at_run_time() -> None:
    package = json.loads((KIT / "package.json").read_text("utf-8"))
    assert "dependencies" not in package
    assert all(version[0].isdigit() for version in package["devDependencies"].values())
    assert package["peerDependenciesMeta"] == {"@opentelemetry/api": {"optional": True}}
