"""What became of a commit, posted at its code host: a status for each environment, the newest alone where many wait."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from rollcast.cli.commenting.errors import CommentError
from rollcast.cli.commenting.statuses import CommitStatuses, StatusState
from rollcast.stacks.following.schedule import RolloutState

_LAST_S = 5.0  # for what waits when the controller ends
_SUCCESS = {RolloutState.DECLARED}
_FAILURE = {RolloutState.ROLLED_BACK, RolloutState.BLOCKED, RolloutState.FAILED}


class StatusReports:
    """Posts one after the other, beside everything else; nothing waits for it. `say`: what could not be posted."""

    def __init__(self, statuses: CommitStatuses | None, say: Callable[[str], None]) -> None:
        self._statuses, self._say = statuses, say
        self._waiting: dict[tuple[str, str], tuple[StatusState, str]] = {}
        self._woken = asyncio.Event()

    def put(self, commit: str, name: str, state: RolloutState | None, text: str) -> None:
        """What became of a project or an environment, by its name; no state where its declaration can't be used."""
        if self._statuses is None or not commit:
            return
        failed = state is None or state in _FAILURE
        found: StatusState = "failure" if failed else "success" if state in _SUCCESS else "pending"
        self._waiting[commit, f"rollcast/{name}"] = found, text
        self._woken.set()

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            await self._post_all()

    async def end(self) -> None:
        """Posts what waits, for a while."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._post_all(), _LAST_S)

    async def _post_all(self) -> None:
        while self._waiting and self._statuses is not None:
            about = next(iter(self._waiting))
            state, text = self._waiting.pop(about)
            try:
                await asyncio.to_thread(self._statuses.post, *about, state, text)
            except CommentError as error:
                self._say(f"No commit status was written. {error}")


__all__ = ["StatusReports"]
