"""A flag edited by hand is decoded: every kind of edit is said, with what is found and what rollcast wrote."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rollcast.planner.declaration.models import Artifact, RolloutSettings
from rollcast.planner.plan.models import Share
from rollcast.planner.releases.releases import Release, SlotVersion, Track
from rollcast.planner.routing.split import Router, flag_of
from rollcast.stacks.state.edits import edits_of

Flag = dict[str, Any]


def _release(number: int) -> Release:
    artifact = Artifact(kind="model-weights", name="m", version=str(number), source="file:m")
    return Release(pipeline="p", slots={"generator": SlotVersion(artifact=artifact, digest=f"sha256:{number}")})


RELEASES = {release.id: release for release in (_release(1), _release(2))}
OLD, NEW = RELEASES
AUDIENCES = {"staff": {"segment": "internal"}}
LINES = {
    "privacy": Track(
        id="privacy", pipeline="p", channel="privacy", route={"region": ["eu"]}, rollout=RolloutSettings()
    ),
    "default": Track(id="default", pipeline="p", channel="default", rollout=RolloutSettings()),
}


def _share(track: str, audience: str, percent: float, release: str) -> Share:
    return Share(line=track, audience=audience, percent=percent, release=release)


SERVING = {
    "privacy": (_share("privacy", "everyone", 100, OLD),),
    "default": (
        _share("default", "staff", 100, NEW),
        _share("default", "everyone", 25, NEW),
        _share("default", "everyone", 75, OLD),
    ),
}
ROUTER = Router("p", LINES, SERVING, AUDIENCES)
WRITTEN = flag_of("p", LINES, SERVING, RELEASES, AUDIENCES)


def _edit(flag: Flag, *path: Any, to: Any) -> None:
    place: Any = flag
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = to


DEFAULT = ("targeting", "if", 2)
SPLIT = (*DEFAULT, "if", 2, "fractional")
KINDS: dict[str, tuple[Callable[[Flag], object], str]] = {
    "the split": (
        lambda f: _edit(f, *SPLIT, 1, 1, to=75_000),
        f"channel default serves everyone with {NEW} 50 %, {OLD} 50 %, not with {NEW} 25 %, {OLD} 75 %",
    ),
    "one release for all": (
        lambda f: _edit(f, *DEFAULT, "if", 2, to=NEW),
        f"channel default serves everyone with {NEW} 100 %, not with {NEW} 25 %, {OLD} 75 %",
    ),
    "an audience's release": (
        lambda f: _edit(f, *DEFAULT, "if", 1, to=OLD),
        f"channel default serves staff with {OLD} 100 %, not with {NEW} 100 %",
    ),
    "an audience's rule": (
        lambda f: _edit(f, *DEFAULT, "if", 0, "in", 1, to=["internal", "beta"]),
        'staff of channel default is chosen by {"in":[{"var":"segment"},["internal","beta"]]}, '
        'not by {"in":[{"var":"segment"},["internal"]]}',
    ),
    "a line's route": (
        lambda f: _edit(f, "targeting", "if", 0, "in", 1, to=["us"]),
        'channel privacy is chosen by {"in":[{"var":"region"},["us"]]}, not by {"in":[{"var":"region"},["eu"]]}',
    ),
    "a line's release": (
        lambda f: _edit(f, "targeting", "if", 1, to="paused"),
        f"channel privacy serves everyone with paused 100 %, not with {OLD}.privacy 100 %",
    ),
    "the buckets": (
        lambda f: _edit(f, *SPLIT, 0, "cat", 0, to="other:"),
        "channel default divides everyone by other buckets",
    ),
    "a rule of another form": (
        lambda f: _edit(f, *DEFAULT, to={"ends_with": [{"var": "targetingKey"}, "7"]}),
        "the rule for staff of channel default is",
    ),
    "no rule at all": (lambda f: f.pop("targeting"), "the rule that chooses channel privacy is null"),
    "the state": (lambda f: _edit(f, "state", to="DISABLED"), "its state is DISABLED, not ENABLED"),
    "the default": (lambda f: _edit(f, "defaultVariant", to=OLD), f"its default is {OLD}, not paused"),
    "a variant's content": (
        lambda f: _edit(f, "variants", NEW, "components", "generator", "digest", to="sha256:9"),
        f"in {NEW} components.generator.digest is sha256:9, not sha256:2",
    ),
    "a variant too many": (lambda f: _edit(f, "variants", "mine", to={}), "mine was added"),
    "a variant too few": (lambda f: f["variants"].pop(NEW), f"{NEW} was taken away"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_edit_is_said_with_what_is_found_and_what_was_written(kind: str) -> None:
    edit, sentence = KINDS[kind]
    found = copy.deepcopy(WRITTEN)
    edit(found)
    (sentence_found,) = edits_of(found, WRITTEN, ROUTER)
    assert sentence_found.startswith(sentence)


def test_a_flag_as_it_was_written_has_no_edits() -> None:
    assert edits_of(copy.deepcopy(WRITTEN), WRITTEN, ROUTER) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.just("if"), inner, max_size=3),
    max_leaves=8,
)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, inner in items for found in ((*path, key), *_paths(inner, (*path, key)))]


READ = [path for path in _paths(WRITTEN) if path[0] != "metadata"]  # all that an evaluator reads


@given(path=st.sampled_from(READ), to=JSON)
def test_whatever_is_put_anywhere_is_reported_and_nothing_breaks(path: tuple[Any, ...], to: Any) -> None:
    found = copy.deepcopy(WRITTEN)
    _edit(found, *path, to=to)
    assume(found != WRITTEN)
    assert edits_of(found, WRITTEN, ROUTER)
