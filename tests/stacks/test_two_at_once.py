"""Two projects on one target roll out at the same moment: neither loses a flag or an instance to the other."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.commands import ROLLCAST

pytestmark = [pytest.mark.engine, pytest.mark.slow]

NAMES = ("alpha", "beta")
DECLARATION = """\
schema: rollcast/v1
pipeline: NAME
artifacts:
  - {kind: prompt-template, name: p, version: "1", source: "file:m/1"}
  - {kind: prompt-template, name: p, version: "2", source: "file:m/2"}
components:
  answer: {artifact: p@VERSION}
rollout: {strategy: all-at-once, bake: {min: 0s, max: 1s}, timeout: 300ms}
environments:
  dev:
    default: true
    development: true
    target: {definition: ../target/flags.json, instances: ../target/instances}
"""


def declare(folder: Path, version: int, endpoint: str = "") -> None:
    """A project of one prompt, at a target that others share; `endpoint`: where its data plane answers."""
    folder.mkdir(exist_ok=True)
    text = DECLARATION.replace("instances}", f"instances, endpoint: {endpoint}}}") if endpoint else DECLARATION
    text = text.replace("NAME", folder.name).replace("VERSION", str(version))
    (folder / "rollcast.yaml").write_text(text, "utf-8")
    for number in (1, 2):
        (folder / "m").mkdir(exist_ok=True)
        (folder / "m" / str(number)).write_text(f"{folder.name} {number}\n", "utf-8")


def together(root: Path) -> dict[str, int]:
    """Applies both at once, looking at the target as often as it can; every look must find it whole. Exit codes."""
    running = {
        name: subprocess.Popen(
            [ROLLCAST, "-C", str(root / name), "apply", "--auto-approve", "--no-forecast"],
            stdout=(root / f"{name}.log").open("wb"), stderr=subprocess.STDOUT,
        )
        for name in NAMES
    }  # fmt: skip
    seen: set[str] = set()
    while any(one.poll() is None for one in running.values()):
        look(root, seen)
        time.sleep(0.01)
    look(root, seen)
    return {name: one.returncode for name, one in running.items()}


def look(root: Path, seen: set[str]) -> None:
    """A flag that was seen is never gone again, and what its variants name is there."""
    try:
        flags = json.loads((root / "target" / "flags.json").read_text("utf-8"))["flags"]
    except FileNotFoundError:
        return
    assert seen <= set(flags)
    seen |= set(flags)
    again = json.loads((root / "target" / "flags.json").read_text("utf-8"))["flags"]
    for name, flag in flags.items():
        for variant in flag["variants"].values():
            for component in variant.get("components", {}).values():
                there = (root / "target" / "instances" / component["instance"] / "manifest.json").is_file()
                assert there or again[name] != flag, f"{name} names {component['instance']}, which is not there"


def serving(root: Path, name: str) -> set[str]:
    flag = json.loads((root / "target" / "flags.json").read_text("utf-8"))["flags"][f"rollcast-{name}"]
    served = [variant.get("components", {}) for variant in flag["variants"].values()]
    return {part["artifact"] for components in served for part in components.values()}


def said(root: Path) -> str:
    return "\n".join(f"== {name}\n{(root / f'{name}.log').read_text('utf-8')}" for name in NAMES)


def test_two_rollouts_at_one_moment_on_one_target(tmp_path: Path) -> None:
    for version in (1, 2, 1):
        for name in NAMES:
            declare(tmp_path / name, version)
            subprocess.run([ROLLCAST, "-C", str(tmp_path / name), "lock"], check=True, stdout=sys.stderr)
        assert together(tmp_path) == dict.fromkeys(NAMES, 0), said(tmp_path)
        for name in NAMES:
            assert serving(tmp_path, name) == {f"p@{version}"}, said(tmp_path)
            held = list((tmp_path / "target" / "instances" / name).rglob("manifest.json"))
            assert len(held) == 1, held
