"""The loop: looks at the source, puts what changed in place, and looks at each environment when it is due.

One thread and one event loop; what waits for a disk, a network or a database does so in threads, and every environment
is carried out in a process of its own. What goes wrong in one project or environment is an event, and stops no other.

Long because what may happen at the same time is decided in one place.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import shutil
import signal
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

from rollcast.cli.failures import sentences
from rollcast.cli.following.brakes import BrakeOrder
from rollcast.cli.following.events import (
    CommitSeen,
    ContentRefused,
    EnvironmentLooked,
    NotDeclared,
    Remarked,
    Say,
    SourceFollowed,
    Unreachable,
    Waiting,
    passed_on,
)
from rollcast.cli.following.looks import Looker, LookResult
from rollcast.cli.following.statuses import StatusReports
from rollcast.cli.following.workers import Workers
from rollcast.planner.declaration.models import Declaration
from rollcast.stacks.base.errors import LedgerError, LockedError, StackError
from rollcast.stacks.following.leader import Leadership
from rollcast.stacks.following.newest import Newest, NewestRecords
from rollcast.stacks.following.revision import FollowedSource, Revision
from rollcast.stacks.following.schedule import LastLook, Pace, RolloutState, due_at_s
from rollcast.stacks.ledger.lease import TTL_S
from rollcast.stacks.ledger.ledger import open_ledger
from rollcast.stacks.project import read_declaration
from rollcast.stacks.rollout.standstill import set_brake

_TAKE_S = 2.0  # between two tries to take the lease
_HURRIES_S = 0.5  # two orders to look at once are one where they come so close
_AGAIN_S = 300.0  # after which what could not be used is tried again
_ALIVE_S = 120.0  # without a round, after which it is not taken for alive any more


@dataclass
class FollowedProject:
    """A project of the source. Times are of the monotonic clock.

    `wanted`: the content that the source declares; `content`: the one in place, of `commit`; `refused`: the last one
    that could not be used, and why; `after`: every environment in order, with the one that it comes after; `last`,
    `results`: the last look at each; `at_work`: those that are being looked at.
    """

    path: str
    wanted: str = ""
    wanted_s: float = 0.0
    content: str = ""
    commit: str = ""
    refused: tuple[str, str] = ("", "")
    refused_s: float = 0.0
    pipeline: str = ""
    after: dict[str, str | None] = field(default_factory=dict)
    last: dict[str, LastLook] = field(default_factory=dict)
    results: dict[str, LookResult] = field(default_factory=dict)
    at_work: set[str] = field(default_factory=set)
    placing: bool = False

    @property
    def awaits_placing(self) -> bool:
        """Whether something is declared that is not in place, and not known to be unusable."""
        again = time.monotonic() >= self.refused_s + _AGAIN_S  # a registry may have been out of reach
        return self.wanted != self.content and (self.wanted != self.refused[0] or again)

    def newest_of(self, environment: str, newest: Newest) -> tuple[int, ...]:
        """What an environment's look depends on in the ledger: its own records, and those of the one before."""
        names = [environment, *filter(None, [self.after[environment]])]
        return tuple(newest.get(f"{self.pipeline}/{name}", -1) for name in names)


@dataclass(frozen=True)
class ControllerSettings:
    """`most_at_work`: environments at the same time; `environment`: the only one to follow, all where it is empty."""

    pace: Pace
    file: str
    most_at_work: int = 4
    environment: str = ""


class Controller:
    """Follows one source until it is asked to end."""

    def __init__(
        self, source: FollowedSource, leadership: Leadership, workers: Workers, looker: Looker,
        settings: ControllerSettings, say: Say, statuses: StatusReports,
    ) -> None:  # fmt: skip
        self.source, self.settings = source, settings
        self._leadership, self._workers, self._looker = leadership, workers, looker
        self._say, self._statuses = say, statuses
        self.projects: dict[str, FollowedProject] = {}
        self.revision: Revision | None = None
        self.fault = ""  # why the source can't be read
        self.source_errors = 0
        self.looks: dict[tuple[str, str, str], int] = {}
        self.leads = False
        self._holder = ""
        self._newest = NewestRecords()
        self._tasks: set[asyncio.Task[None]] = set()
        self._looking: asyncio.Task[None] | None = None
        self._looked_s = self._hurried_s = self._refreshed_s = float("-inf")
        self._hurried = False
        self._signals = 0
        self._wake = asyncio.Event()
        self._round_s = time.monotonic()
        self._last_said: dict[tuple[str, str], tuple[Any, ...]] = {}

    # ---- what others ask ----------------------------------------------------------------------

    def alive(self) -> bool:
        return time.monotonic() - self._round_s < _ALIVE_S

    def ready(self) -> tuple[bool, str]:
        if not self.leads:
            return False, f"{self._holder} follows the source" if self._holder else "the source is not followed yet"
        if self.revision is None:
            return False, self.fault or "the source was not read yet"
        return True, ""

    def hurry(self) -> None:
        """Looks at the source at once, and at what goes on or is broken."""
        self._hurried = True
        self._wake.set()

    async def brake(self, order: BrakeOrder) -> list[dict[str, Any]]:
        """Pulls or releases the brake in the ledger of every environment that is meant; a look follows by itself."""
        meant = [
            (project, environment)
            for project in self.projects.values()
            for environment in project.after
            if order.environment in ("", environment)
        ]
        return await asyncio.to_thread(lambda: [self._set_brake(*one, order) for one in meant])

    def _set_brake(self, project: FollowedProject, environment: str, order: BrakeOrder) -> dict[str, Any]:
        done: dict[str, Any] = {"project": project.path, "environment": environment, "changed": False, "error": ""}
        try:
            ledger = open_ledger(self.source.folder(project.path), f"{project.pipeline}/{environment}")
            written = set_brake(
                ledger, pulled=order.pulled, reason=order.reason, by="a webhook", source="of the controller"
            )
        except StackError as error:
            return {**done, "error": str(error)}
        return {**done, "changed": written is not None}

    def stop(self) -> None:
        """Ends at a safe state; the second time, as soon as it can."""
        self._signals += 1
        self._workers.signal_all(signal.SIGTERM)
        self._wake.set()

    # ---- the loop -----------------------------------------------------------------------------

    async def run(self) -> None:
        """Until `stop`. What is under way then is left at a safe state, and the lease is given back."""
        beside = [asyncio.create_task(self._renew()), asyncio.create_task(self._statuses.run())]
        try:
            while not self._signals:
                self._round_s = time.monotonic()
                self._wake.clear()
                if await self._may_act():
                    self._look_at_source()
                    await self._begin_due()
                await self._pause()
            await self._end_work()
        finally:
            for task in beside:
                task.cancel()
            await self._statuses.end()
            await asyncio.to_thread(self._leadership.release)
            self.leads = False

    async def _pause(self) -> None:
        now_s, pace = time.monotonic(), self.settings.pace
        if not self.leads:
            wait_s = _TAKE_S
        else:
            ahead = [self._looked_s + pace.interval_s, self._refreshed_s + pace.interval_s]
            if self._hurried and self._looking is None:
                ahead.append(self._looked_s + _HURRIES_S)
            if len(self._tasks) < self.settings.most_at_work:
                ahead += [due_s for due_s, _, _ in self._dues(self._of_now)]
            wait_s = min(ahead) - now_s
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), min(max(wait_s, 0.05), _ALIVE_S / 4))

    async def _may_act(self) -> bool:
        if self.leads:
            if self._leadership.held:
                return True
            await self._lost("The lease of this controller was not renewed in time.")
            return False
        try:
            holder = await asyncio.to_thread(self._leadership.take)
        except LedgerError as error:
            self._once("leader", "", (str(error),), Remarked(text=str(error)))
            return False
        if holder:
            self._holder = holder
            self._once("leader", "", (holder,), Waiting(source=self.source.name, holder=holder))
            return False
        try:
            await asyncio.to_thread(self.source.prepare)
        except (StackError, OSError) as error:
            self._once("leader", "", (str(error),), Unreachable(source=self.source.name, error=str(error)))
            await asyncio.to_thread(self._leadership.release)
            return False
        self.leads, self._holder = True, ""
        self._once("leader", "", (), SourceFollowed(source=self.source.name))
        self._looked_s = float("-inf")
        return True

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(TTL_S / 3)
            if not self.leads:
                continue
            try:
                await asyncio.to_thread(self._leadership.renew)
            except LockedError as error:
                await self._lost(str(error))
            except LedgerError as error:  # out of reach for a while: nothing is begun once the lease has run out
                self._say(Remarked(text=str(error)))

    async def _lost(self, why: str) -> None:
        self.leads = False
        self._last_said.pop(("leader", ""), None)
        self._say(SourceFollowed(source=self.source.name, over=why))
        self._workers.signal_all(signal.SIGTERM)
        await self._end_work()

    async def _end_work(self) -> None:
        while self._tasks:
            self._round_s = time.monotonic()
            await asyncio.wait(self._tasks, timeout=5.0)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)

        def done(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                self._say(
                    Remarked(text=" ".join(sentences(error)))
                    if isinstance(error, Exception)
                    else Remarked(text="ended")
                )
            self._wake.set()

        task.add_done_callback(done)

    def _once(self, about: str, part: str, what: tuple[Any, ...], event: Any) -> None:
        """Says something where it is another thing than was said last of the same."""
        if self._last_said.get((about, part)) != what:
            self._last_said[about, part] = what
            self._say(event)

    # ---- the source ---------------------------------------------------------------------------

    def _look_at_source(self) -> None:
        now_s = time.monotonic()
        hurried = self._hurried and now_s - self._looked_s >= _HURRIES_S
        if self._looking is not None or not (hurried or now_s - self._looked_s >= self.settings.pace.interval_s):
            return
        if hurried:
            self._hurried, self._hurried_s = False, now_s
        self._looked_s = now_s
        self._looking = asyncio.create_task(self._read_source())

    async def _read_source(self) -> None:
        try:
            try:
                found = await asyncio.to_thread(self.source.look)
                self.fault = ""
            except (StackError, OSError) as error:
                self.fault, self.source_errors = str(error), self.source_errors + 1
                known = self.revision or await asyncio.to_thread(self.source.known)
                event = Unreachable(source=self.source.name, error=str(error), commit=known.commit if known else "")
                self._once("source", "", (str(error),), event)
                if known is None:
                    return
                found = known
            else:
                self._last_said.pop(("source", ""), None)
            self._take(found)
        finally:
            self._looking = None
            self._wake.set()

    def _take(self, found: Revision) -> None:
        before, self.revision, now_s = self.revision, found, time.monotonic()
        if before is None or (before.commit, before.contents) != (found.commit, found.contents):
            self._say(CommitSeen(commit=found.commit, projects=sorted(found.contents), before=found.before))
        for path, problem in found.problems.items():
            self._once("problem", path, (problem,), ContentRefused(project=path, commit=found.commit, error=problem))
        for path, content in found.contents.items():
            project = self.projects.setdefault(path, FollowedProject(path))
            if project.wanted != content:
                project.wanted, project.wanted_s = content, now_s
            if project.content == content:
                project.commit = found.commit
        for path in [path for path in self.projects if path not in {*found.contents, *found.problems}]:
            if not self.projects[path].at_work and not self.projects[path].placing:
                del self.projects[path]
                self._say(NotDeclared(project=path))

    # ---- what is due --------------------------------------------------------------------------

    def _dues(self, of: Callable[[FollowedProject], Newest]) -> list[tuple[float, FollowedProject, str]]:
        """Every environment that may be begun, with when; the earliest first, else in order."""
        found = []
        for project in self.projects.values():
            if project.placing or (self.revision and project.path not in self.revision.contents):
                continue
            if project.awaits_placing:
                if not project.at_work:
                    found.append((0.0, project, ""))
                continue
            newest = of(project)
            for environment in project.after:
                if environment not in project.at_work:
                    found.append((self._due_s(project, environment, newest), project, environment))
        return sorted(found, key=lambda one: one[0])

    def _due_s(self, project: FollowedProject, environment: str, newest: Newest) -> float:
        last, pace = project.last.get(environment), self.settings.pace
        rest_s = pace.rest_s * (0.75 + 0.5 * _fraction(project.path, environment))  # so that not all are due at once
        due_s = due_at_s(last, project.content, project.newest_of(environment, newest), Pace(pace.interval_s, rest_s))
        moves = last is not None and last.state not in (RolloutState.DECLARED, RolloutState.WAITING)
        return min(due_s, self._hurried_s) if moves and last is not None and last.at_s < self._hurried_s else due_s

    def _of_now(self, project: FollowedProject) -> Newest:
        try:
            return self._newest.of(self.source.folder(project.path))
        except LedgerError:
            return {}  # whoever acts says what is wrong with it

    async def _begin_due(self) -> None:
        try:
            await asyncio.to_thread(self._newest.refresh)
        except LedgerError as error:
            self._once("ledger", "", (str(error),), Remarked(text=str(error)))
        else:
            self._last_said.pop(("ledger", ""), None)
        self._refreshed_s = time.monotonic()
        for due_s, project, environment in self._dues(self._of_now):
            if due_s > time.monotonic() or len(self._tasks) >= self.settings.most_at_work or self._signals:
                return
            if environment:
                project.at_work.add(environment)
                self._begin(self._look(project, environment))
            else:
                project.placing = True
                self._begin(self._place(project))

    async def _place(self, project: FollowedProject) -> None:
        """Puts what is wanted of a project in place, where it can be used."""
        wanted, commit = project.wanted, self.revision.commit if self.revision else ""
        try:
            if await asyncio.to_thread(self.source.in_place, project.path) != wanted:
                why = await self._refused(project.path, wanted)
                if why:
                    raise StackError(why)
                await asyncio.to_thread(self.source.put, project.path, wanted)
            folder = self.source.folder(project.path)
            _, declaration = await asyncio.to_thread(read_declaration, folder, self.settings.file)
        except Exception as error:
            if not self._signals:
                why = " ".join(sentences(error)) if not isinstance(error, OSError) else f"{error}"
                project.refused, project.refused_s = (wanted, why), time.monotonic()
                what = ContentRefused(project=project.path, commit=commit, error=why)
                self._once("refused", project.path, (commit, why), what)
                self._statuses.put(commit, project.path, None, why)
                self._adopt_known(project)
            return
        finally:
            project.placing = False
        project.content, project.commit, project.refused = wanted, commit, ("", "")
        self._declared(project, declaration)

    async def _refused(self, path: str, content: str) -> str:
        """Why a content can't be used; empty where it can."""
        candidate = await asyncio.to_thread(self.source.candidate, path, content)
        if candidate is None:
            return ""
        try:
            return await self._looker.validate(str(candidate))
        finally:
            await asyncio.to_thread(shutil.rmtree, candidate, True)

    def _adopt_known(self, project: FollowedProject) -> None:
        """After a start, what was put in place by an earlier process goes on where the newest can't be used."""
        known = self.source.in_place(project.path)
        if project.content or not known or known == project.refused[0]:
            return
        with contextlib.suppress(Exception):
            _, declaration = read_declaration(self.source.folder(project.path), self.settings.file)
            project.content = known
            self._declared(project, declaration)

    def _declared(self, project: FollowedProject, declaration: Declaration) -> None:
        only, followed = self.settings.environment, {}
        for name in declaration.in_sequence():
            after = declaration.environments[name].after
            if not only or name == only:
                followed[name] = after.environment if after else None
        for gone in [name for name in project.after if name not in followed]:
            project.last.pop(gone, None)
            project.results.pop(gone, None)
            self._say(NotDeclared(project=project.path, environment=gone))
        if only and not followed:
            self._say(Remarked(text=f"{project.path} has no environment '{only}', so nothing of it is followed."))
        project.pipeline, project.after = declaration.pipeline, followed

    # ---- a look -------------------------------------------------------------------------------

    async def _look(self, project: FollowedProject, environment: str) -> None:
        """Carries an environment out as far as it goes now."""
        folder, content, commit = self.source.folder(project.path), project.content, project.commit
        before = project.newest_of(environment, self._of_now(project))

        def take(body: Mapping[str, Any]) -> None:
            if body["event"] != "look":  # a verdict that changes nothing comes again with each look
                self._say(passed_on(body, project.path, environment, commit))

        try:
            found = await self._looker.look(str(folder), environment, take)
            if found.state is RolloutState.FAILED:
                await asyncio.to_thread(self._newest.refresh)
                before = project.newest_of(environment, self._of_now(project))
        finally:
            project.at_work.discard(environment)
        earlier = project.last.get(environment)
        failures = (earlier.failures if earlier else 0) + 1 if found.state is RolloutState.FAILED else 0
        now_s = time.monotonic()
        due_s = None if found.due_s is None else now_s + max(0.0, found.due_s - time.time())
        if environment in project.after:
            project.last[environment] = LastLook(now_s, found.state, content, before, failures, due_s)
            project.results[environment] = found
        count = (project.path, environment, found.state.value)
        self.looks[count] = self.looks.get(count, 0) + 1
        self._outcome(project, environment, commit, found)

    def _outcome(self, project: FollowedProject, environment: str, commit: str, found: LookResult) -> None:
        what = (commit, found.exit, found.state, found.outcome, found.reason)
        if self._last_said.get((project.path, environment)) == what:
            return
        self._last_said[project.path, environment] = what
        self._say(EnvironmentLooked(
            project=project.path, environment=environment, commit=commit, state=found.state.value, exit=found.exit,
            outcome=found.outcome, reason=found.reason,
        ))  # fmt: skip
        self._statuses.put(commit, f"{project.path}/{environment}", found.state, found.reason)


def _fraction(*about: str) -> float:
    """A number of [0, 1) that is always the same for the same."""
    return int.from_bytes(hashlib.sha256("\0".join(about).encode()).digest()[:4], "big") / 2**32


__all__ = ["Controller", "ControllerSettings", "FollowedProject"]
