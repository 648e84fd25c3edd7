"""Orders are left where they can be heard, and none of them is given without the reason that it needs."""

from __future__ import annotations

from typing import Any

import pytest

from rollcast.stacks.base.errors import StackError
from rollcast.stacks.rollout.steering import _refuse_unreasoned

SILENT = {"name": "missing_telemetry", "ok": False, "sentence": "no telemetry came for 130 s"}
FINE = {"name": "sample_ratio", "ok": True, "sentence": ""}


def test_a_promotion_in_full_over_a_guard_that_holds_names_it_and_wants_a_reason() -> None:
    with pytest.raises(StackError, match=r"no telemetry came for 130 s.*--full --reason"):
        _refuse_unreasoned({"guards": [FINE, SILENT]})


@pytest.mark.parametrize("verdict", [None, {}, {"guards": []}, {"guards": [FINE]}])
def test_no_reason_is_wanted_where_nothing_holds(verdict: dict[str, Any] | None) -> None:
    _refuse_unreasoned(verdict)
