"""A project under test: its policies, and every rollout between releases that its artifacts allow.

Releases are those of the declarations in the folder, and what they become when artifacts are exchanged for other
declared versions of the same name. So a project's rules are tried on rollouts that nobody has planned yet.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from rollcast.planner.base.errors import DeclarationError, PlannerError, UnsafePlan
from rollcast.planner.declaration.models import (
    ATTACHMENTS,
    Channel,
    Component,
    ComponentOverride,
    Declaration,
    Pipeline,
)
from rollcast.planner.loading.cross_checks import check
from rollcast.planner.loading.loader import load
from rollcast.planner.plan.models import LiveState, Plan
from rollcast.planner.planning.planner import live_as_declared, make_plan
from rollcast.plugins.settings import settings_of
from rollcast.policies.errors import PolicyError
from rollcast.policies.judgement.discovery import PolicySet, discover
from rollcast.policies.judgement.judging import places_of
from rollcast.policies.model_based.profiles import QUICK, SearchProfile
from rollcast.policies.rules.places import Places
from rollcast.policies.rules.review import Review

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

DECLARATION = "rollcast.yaml"
TRIES = 160
MOST_RELEASES = 24


@dataclass(frozen=True, eq=False)
class ProjectUnderTest:
    """A project folder, read once, with the profile that its property tests run by."""

    folder: Path
    declaration: Declaration
    today: date
    file: str = DECLARATION
    profile: SearchProfile = QUICK

    @classmethod
    def open(cls, folder: Path, today: date, file: str = DECLARATION) -> ProjectUnderTest:
        """The project in a folder. Raises PolicyError where it has no valid declaration."""
        try:
            return cls(folder, _read(folder, file), today, file)
        except (OSError, DeclarationError) as error:
            raise PolicyError(
                f"{folder / file} can't be tested: {error} Correct it first: rollcast validate."
            ) from None

    def with_(self, profile: SearchProfile) -> ProjectUnderTest:
        """The same project, tested by another profile."""
        return replace(self, profile=profile)

    @cached_property
    def policies(self) -> PolicySet:
        """The project's policies and the default ones. Raises PolicyError."""
        return discover(self.folder)

    @cached_property
    def places(self) -> Places | None:
        """Where the declaration's parts stand."""
        return places_of(self.folder, self.file)

    @cached_property
    def declarations(self) -> tuple[Declaration, ...]:
        """The declaration, the other ones of the folder, and what exchanged artifacts make of it; all of them valid."""
        found = [self.declaration, *self.others()]
        for candidate in _exchanged(self.declaration):
            if len(found) >= MOST_RELEASES:
                break
            if candidate not in found and not check(candidate):
                found.append(candidate)
        return tuple(found)

    def others(self) -> Iterator[Declaration]:
        """The other valid declarations of the same pipeline in the folder, such as what is released."""
        for path in sorted(self.folder.glob("*.yaml")):
            if path.name == self.file or "schema: rollcast/" not in path.read_text("utf-8", errors="replace"):
                continue
            try:
                other = _read(self.folder, path.name)
            except (OSError, DeclarationError):
                continue
            if other.pipeline == self.declaration.pipeline:
                yield other

    def reviews(self) -> SearchStrategy[Review]:
        """Reviews of rollouts between these releases, first releases included. Simplest: the folder's own."""
        from hypothesis import reject
        from hypothesis import strategies as st

        count = len(self.declarations)
        pairs = [
            (source, target) for target in range(count) for source in [*range(1, count), 0, None] if source != target
        ]

        @st.composite
        def drawn(draw: st.DrawFn) -> Review:
            source, target = draw(st.sampled_from(pairs))
            environment = draw(st.sampled_from(list(self.declaration.environments)))
            made = self._planned(source, target, environment)
            if made is None:
                reject()
            return made

        return drawn()

    @lru_cache(maxsize=4096)  # noqa: B019 - a project under test lives as long as its session
    def _planned(self, source: int | None, target: int, environment: str) -> Review | None:
        """The review of one rollout; None where the planner refuses it with a reason, or there is nothing to do."""
        released = None if source is None else self.declarations[source]
        declared = self.declarations[target]
        if environment not in declared.environments:
            return None
        live = LiveState() if released is None else live_as_declared(released)
        try:
            plan: Plan = make_plan(declared, live, environment)
        except UnsafePlan:
            raise
        except PlannerError:
            return None
        return None if plan.empty else Review(declared, live, plan, self.today, places=self.places)


def _read(folder: Path, file: str) -> Declaration:
    return load((folder / file).read_text("utf-8"), file, lambda name: (folder / name).read_text("utf-8"), settings_of)


def _exchanged(declaration: Declaration) -> Iterator[Declaration]:
    """The declaration with other versions of its artifacts: all of the first, all of the last, then by chance.

    The same declaration gives the same ones. They are not checked.
    """
    versions: dict[str, list[str]] = {}
    for artifact in declaration.artifacts:
        versions.setdefault(artifact.name, []).append(artifact.reference)
    several = {name: found for name, found in versions.items() if len(found) > 1}
    if not several:
        return
    yield _with(declaration, {name: found[0] for name, found in several.items()})
    yield _with(declaration, {name: found[-1] for name, found in several.items()})
    chance = random.Random(0)
    for _ in range(TRIES):
        yield _with(declaration, {name: chance.choice(found) for name, found in several.items()})


def _with(declaration: Declaration, chosen: dict[str, str]) -> Declaration:
    """The declaration with these versions: artifact name -> reference."""

    def pick(part: Component | ComponentOverride) -> dict[str, str]:
        found = {}
        for key in ("artifact", *ATTACHMENTS):
            reference = getattr(part, key)
            if reference is not None:
                found[key] = chosen.get(reference.split("@")[0], reference)
        return found

    def components(found: dict[str, Component]) -> dict[str, Component]:
        return {name: one.model_copy(update=pick(one)) for name, one in found.items()}

    def channel(one: Channel) -> Channel:
        overrides = {name: part.model_copy(update=pick(part)) for name, part in one.components.items()}
        return one.model_copy(update={"components": overrides})

    def channels(found: dict[str, Channel]) -> dict[str, Channel]:
        return {name: channel(one) for name, one in found.items()}

    def pipeline(one: Pipeline) -> Pipeline:
        return one.model_copy(update={"components": components(one.components), "channels": channels(one.channels)})

    return declaration.model_copy(
        update={
            "components": components(declaration.components),
            "channels": channels(declaration.channels),
            "pipelines": {name: pipeline(one) for name, one in declaration.pipelines.items()},
        }
    )


__all__ = ["DECLARATION", "ProjectUnderTest"]
