"""`rollcast dataplane check` on an Express service: every point holds, as an entry and as a hop."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rollcast.stacks.conformance.checking import check
from rollcast.stacks.conformance.points import PointVerdict
from rollcast.stacks.conformance.probe import read_probe
from tests.dataplane.releasing import both
from tests.dataplane_ts.building import running_node
from tests.stacks.site import free_port


@pytest.mark.parametrize("trusted", [False, True])
def test_an_express_service_on_the_kit_keeps_every_point(kit: Path, tmp_path: Path, trusted: bool) -> None:
    port = free_port()
    probe = tmp_path / "probe.json"
    probe.write_text(json.dumps({
        "pipeline": "help-desk", "definition": "flags.json", "telemetry": "telemetry", "trusted": trusted,
        "request": {"path": "/chat", "json": {"user": "${key}", "message": "${unique}"}},
        "slow": {"path": "/chat", "json": {"user": "${key}", "takes_s": 1}},
        "stream": {"path": "/stream", "json": {"user": "${key}", "takes_s": 2}},
        "session": {"path": "/chat", "json": {"user": "${key}", "session": "${session}"}},
        "anonymous": {"path": "/chat", "json": {}},
        "onward": {"path": "/call", "json": {"user": "${key}", "url": f"http://127.0.0.1:{port}/"},
                   "listen": f"127.0.0.1:{port}"},
        "answer": {"body_release": "/release", "components": "/components"},
    }))  # fmt: skip
    with running_node(kit, tmp_path, flag=both(0), trust=trusted) as service:
        (tmp_path / "ready").touch()
        findings = list(check([service.url], read_probe(probe), ()))
    found = {each.point.id: each.detail for each in findings if each.verdict is PointVerdict.BROKEN}
    assert found == {}
    assert sum(each.verdict is PointVerdict.HOLDS for each in findings) >= 25
