"""The pytest plugin: a project's policies tested by `pytest policies/` or `rollcast policy test`.

Light when it is loaded, because pytest loads it in every run; everything else is imported when a test asks for it.
Fixtures: `rollcast_project` (the project that the test belongs to), `rollcast_review` (the rollout from its other
declaration, or from nothing, to its declaration). Marker: `rollcast(examples=N)`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from rollcast.policies.model_based.profiles import SearchProfile
    from rollcast.policies.project import ProjectUnderTest
    from rollcast.policies.rules.review import Review


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("rollcast", "property tests of rollcast policies")
    group.addoption("--rollcast-project", metavar="DIR", help="the project folder; else the nearest with a declaration")
    group.addoption("--rollcast-file", metavar="FILE", default="rollcast.yaml", help="the declaration in it")
    group.addoption("--rollcast-profile", choices=("quick", "thorough"), default="quick", help="how long to search")
    group.addoption("--rollcast-examples", metavar="N", type=int, help="rollouts to walk, in place of the profile's")
    group.addoption("--rollcast-seed", metavar="S", type=int, help="the same seed tries the same rollouts")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "rollcast(examples): how many rollouts a policy test walks")


@pytest.fixture(scope="module")
def rollcast_project(request: pytest.FixtureRequest) -> ProjectUnderTest:
    """The project whose folder is given, or is the nearest above the test file that has a declaration."""
    from rollcast.policies.errors import PolicyError
    from rollcast.policies.model_based.profiles import PROFILES

    config = request.config
    file = config.getoption("--rollcast-file")
    chosen = config.getoption("--rollcast-project")
    folder = Path(chosen) if chosen else _nearest(request.path, file)
    if folder is None:
        pytest.fail(f"No folder above {request.path} has a {file}: give --rollcast-project DIR.", pytrace=False)
    profile = PROFILES[config.getoption("--rollcast-profile")]
    chosen_profile = profile.with_(
        examples=config.getoption("--rollcast-examples"), seed=config.getoption("--rollcast-seed")
    )
    try:
        return _open(folder.resolve(), file, chosen_profile)
    except PolicyError as error:
        pytest.fail(str(error), pytrace=False)


_OPENED: dict[tuple[Path, str, SearchProfile], ProjectUnderTest] = {}


def _open(folder: Path, file: str, profile: SearchProfile) -> ProjectUnderTest:
    """A project, read once a run, and judged by the day on which the run began."""
    from datetime import date

    from rollcast.policies.project import ProjectUnderTest

    key = (folder, file, profile)
    if key not in _OPENED:
        _OPENED[key] = ProjectUnderTest.open(folder, date.today(), file).with_(profile)
    return _OPENED[key]


def _nearest(path: Path, file: str) -> Path | None:
    return next((folder for folder in path.parents if (folder / file).is_file()), None)


@pytest.fixture
def rollcast_review(rollcast_project: ProjectUnderTest) -> Review:
    """The rollout from the folder's first other declaration, or from nothing, to its declaration."""
    from rollcast.planner.plan.models import LiveState
    from rollcast.planner.planning.planner import live_as_declared, make_plan
    from rollcast.policies.rules.review import Review

    project = rollcast_project
    released = next(project.others(), None)
    live = LiveState() if released is None else live_as_declared(released)
    environment = next(iter(project.declaration.environments))
    plan = make_plan(project.declaration, live, environment)
    return Review(project.declaration, live, plan, project.today, places=project.places)
