"""Eight replicas of both kits in eight processes, whole rollouts, kills and partitions: none mixed, none lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fleet.schedules import run
from tests.fleet.site import Fleet, clocks_apart

pytestmark = [pytest.mark.engine, pytest.mark.slow]


@pytest.fixture(scope="module", params=[0, 2], ids=["addresses", "relays"])
def fleet(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """The driver asks each replica at its address, or two relays to which all acknowledge.

    The clock of one replica of each kit is an hour off: one is fast, one is slow.
    """
    folder = tmp_path_factory.mktemp("fleet")
    with Fleet(folder / "project", relays=request.param, clocks=clocks_apart(folder)) as made:
        made.first_release()
        yield made


@pytest.mark.parametrize("seed", range(5))
def test_no_request_is_mixed_or_lost_whatever_befalls_replicas(fleet: Fleet, seed: int) -> None:
    verdict = run(fleet, seed, 2 - seed % 2)
    assert not verdict.wrong, "\n".join(verdict.wrong[:10]) + fleet.logs()
    assert verdict.served > 50
    assert verdict.kits == 2, "replicas of one kit alone served"
