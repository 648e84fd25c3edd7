"""`kind: dataplane`, the default: the data plane itself runs a suite, at its control endpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from typing import Any

from rollcast.plugins.settings import Settings
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.fleet.control import POLL_S, nap
from rollcast.stacks.fleet.fleet import Fleet


class DataPlaneSettings(Settings):
    """Nothing: the endpoint is the target's."""


class DataPlaneEvaluator:
    """The data plane, which tries a release that no traffic reaches yet."""

    settings_model = DataPlaneSettings

    def __init__(self, settings: DataPlaneSettings, root: Path) -> None:
        self.settings = settings

    def evaluate(
        self,
        release: Mapping[str, Any],
        suite: Path,
        endpoints: Sequence[str],
        timeout_s: float,
        stopped: Callable[[], bool],
    ) -> Mapping[str, Any]:
        if not endpoints:
            raise StackError("The data plane runs this suite, and the target declares no 'endpoint' of it. Declare it.")
        own = release.get("components", {})
        parts = {slot: {key: value for key, value in part.items() if key != "content"} for slot, part in own.items()}
        sent = {**release, **({"components": parts} if parts else {})}  # where content is on this machine is nobody's
        called: Future[Mapping[str, Any]] = Future()

        def ask() -> None:
            try:
                called.set_result(Fleet(endpoints).evaluate(sent, str(suite.resolve()), timeout_s))
            except BaseException as error:
                called.set_exception(error)

        Thread(target=ask, daemon=True).start()  # its answer is nobody's once the operation is cancelled
        while not called.done():
            nap(POLL_S, stopped)
        return called.result()
