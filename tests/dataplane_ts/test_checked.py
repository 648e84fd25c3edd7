"""`rollcast dataplane check` on an Express service: every point holds, as an entry and as a hop."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollcast.stacks.conformance.checking import check
from rollcast.stacks.conformance.points import PointVerdict
from rollcast.stacks.conformance.probe import read_probe
from tests.dataplane.probing import probe_in
from tests.dataplane.releasing import both
from tests.dataplane_ts.building import running_node


@pytest.mark.parametrize("trusted", [False, True])
def test_an_express_service_on_the_kit_keeps_every_point(kit: Path, tmp_path: Path, trusted: bool) -> None:
    probe = probe_in(tmp_path, trusted)
    with running_node(kit, tmp_path, flag=both(0), trust=trusted) as service:
        (tmp_path / "ready").touch()
        findings = list(check([service.url], read_probe(probe), ()))
    found = {each.point.id: each.detail for each in findings if each.verdict is PointVerdict.BROKEN}
    assert found == {}
    assert sum(each.verdict is PointVerdict.HOLDS for each in findings) >= 25
