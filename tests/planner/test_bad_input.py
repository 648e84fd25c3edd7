"""Bad declarations: every mistake at once, each with file, line, column and remedy; hostile files do nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcast.planner.base.errors import CapacityError, DeclarationError, Diagnostic, NoSafeOrder
from rollcast.planner.loading.loader import load
from rollcast.planner.planning.planner import live_as_declared, make_plan
from rollcast.plugins.settings import settings_of
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.project import Project

GOOD = """\
schema: rollcast/v1
pipeline: support
artifacts:
  - {kind: retrieval-index, name: kb, version: "1", provides: {passage-schema: "1"}}
  - {kind: model-weights, name: agent, version: "1", requires: {passage-schema: ">=1"}}
audiences:
  beta: {segment: [beta, power]}
  internal: {segment: internal}
components:
  index: {artifact: kb@1}
  agent: {artifact: agent@1, upstream: [index]}
environments:
  prod: {regions: {eu: {}, us: {}}, capacity: {accelerators: 8}}
rollout:
  percent: [5, 50, 100]
"""


def mistakes(text: str) -> list[Diagnostic]:
    with pytest.raises(DeclarationError) as caught:
        load(text, settings_of=settings_of)
    return list(caught.value.diagnostics)


def test_the_good_declaration_is_good() -> None:
    load(GOOD)


@pytest.mark.parametrize(
    "named", ["max_tokens: 4", "targeting_key: user", "api_key_env: KEY", "api_key: '${KEY}'", "eos_token: '</s>'"]
)
def test_what_only_sounds_like_a_secret_or_names_where_it_is_stands(named: str) -> None:
    load(GOOD.replace("kb@1}", f"kb@1, parameters: {{{named}}}}}"))


BETA = "beta: {segment: [beta, power]}"


@pytest.mark.parametrize(
    ("old", "new", "place", "summary", "remedy"),
    [
        ("artifact: kb@1", "artifact: kb@2", "10:11", "no artifact 'kb@2'", "Did you mean 'kb@1'?"),
        ("kind: retrieval-index", "kind: retrieval-indx", "4:6", "'retrieval-indx' is not valid", "'retrieval-index'"),
        ("components:", "componnts:", "9:1", "unknown key 'componnts'", "Did you mean 'components'?"),
        ("upstream: [index]", "upstream: [indx]", "11:41", "no component 'indx'", "Did you mean 'index'?"),
        ("beta: {", "internal: {a: 1}\n  beta: {", "9:3", "'internal' is given twice here", "Keep one"),
        ("{artifact: kb@1}", "{artifact: kb@1, upstream: [agent]}", "9:1", "goes in a circle: ", "Remove"),
        ('">=1"', '">=2"', "11:3", "agent agent@1 requires passage-schema >=2, which index kb@1", "No order can be"),
        ('">=1"', '">=one"', "5:65", "'>=one' is not a version range", '">=2,<3"'),
        ("[5, 50, 100]", "[5, 5, 100]", "15:16", "5 does not rise above 5", "Percentages rise"),
        ("[5, 50, 100]", "[5, 50, 500]", "15:20", "500 is not a percentage", "Correct it"),
        ("[5, 50, 100]", "[5, 50]", "15:3", "does not reach 100", "End the list with 100"),
        ("[beta, power]", "{all: [1]}", "7:3", "attribute 'segment'", "Correct it"),
        (BETA, "beta: {all: [{a: 1}, {a: 2}]}", "7:3", "can never match", "exclude each other"),
        (BETA, "beta: {all: [{n: {at_least: 9}}, {n: {below: 9}}]}", "7:3", "can never match", "exclude each other"),
        (
            "kb@1}",
            "kb@1, needs: {accelerators: 3}, replicas: 4}",
            "13:3",
            "12 accelerators needed, 8 declared",
            "Raise",
        ),
        ("kb@1}", "kb@1, regions: [uk]}", "10:37", "no region 'uk'", "Did you mean 'us'?"),
        ("[5, 50, 100]", "[0.0000001, 50, 100]", "15:13", "0.0000001 percent is less than 0.001", "Begin with 0.001"),
        ("prod: {", "prod: {target: {kind: flagdd}, ", "13:19", "no target of kind 'flagdd'", "'flagd'"),
        ("prod: {", "prod: {telemetry: {kind: otlp}, ", "13:22", "no telemetry of kind 'otlp'", "jsonl"),
        ("prod: {", "prod: {telemetry: {kind: jsonl, pth: t}, ", "13:35", "unknown key 'pth'", "Did you mean 'path'?"),
        ("prod: {", "prod: {telemetry: {knd: sql}, ", "13:22", "unknown key 'knd'", "Did you mean 'kind'?"),
        ("prod: {", "prod: {telemetry: {url: 'http://x'}, ", "13:22", "unknown key 'url'", "Known here: kind, path."),
        ("prod: {", "prod: {telemetry: {kind: sql, path: t}, ", "13:10", "'url' is missing", "Add 'url:' here."),
        ("prod: {", "prod: {target: {instance: f}, ", "13:19", "unknown key 'instance'", "'instances'"),
        ("prod: {", "prod: {target: {kind: flagd, url: x}, ", "13:32", "unknown key 'url'", "relay"),
        ("prod: {", "prod: {telemetry: {api_key: abc}, ", "13:22", "'api_key' holds a literal secret", "api_key_env"),
        ("prod: {", "prod: {target: {definition: 's3://b/f.json'}, ", "13:19", "is a path, not an address", "Write"),
        (
            "prod: {",
            "prod: {after: {environment: prod}, ",
            "13:18",
            "'prod' comes after itself",
            "environment before it",
        ),
        ("prod: {", "prod: {after: {environment: tset}, ", "13:18", "no environment 'tset'", "Declare it"),
        ("prod: {", "test: {}\n  prod: {after: {environment: tset}, ", "14:18", "no environment 'tset'", "'test'"),
        ("prod: {", "prod: {after: {environment: a, for: -1h}, ", "13:34", "'-1h' is negative", "Correct it"),
        ("prod: {", "prod: {after: {environment: a, for: -1}, ", "13:34", "can't be negative", "Correct it"),
        ("prod: {", "prod: {after: {environment: a, approved_by: [x, x]}, ", "13:51", "'x' is named twice", "once"),
        ("prod: {", "prod: {after: {environment: a, approvals: 2}, ", "13:34", "0 may approve", "Name more people"),
        ("prod: {", "prod: {after: {environment: a, hotfix: allow}, ", "13:34", "'allow' is not valid", "allowed"),
        (
            "prod: {",
            "a: {after: {environment: b}}\n  b: {after: {environment: a}}\n  prod: {",
            "12:1",
            "come after each other in a circle: b -> a -> b",
            "Remove one",
        ),
        ('">=1"', '">=3,<2"', "5:65", "the range '>=3,<2' is empty", ">=2,<3"),
        ("kb@1}", "kb@1, parameters: {api_key: abc}}", "10:40", "'api_key' holds a literal secret", "api_key_env"),
        ("artifact: kb@1}", "artifact: kb@1, fallback: index}", "10:27", "fallbacks go in a circle", "have none"),
    ],
)
def test_a_mistake_has_its_place_and_its_remedy(old: str, new: str, place: str, summary: str, remedy: str) -> None:
    assert old in GOOD
    text = GOOD.replace(old, new, 1)
    (found, *_) = [d for d in mistakes(text) if summary in d.summary]
    assert f"{found.line}:{found.column}" == place, found
    assert summary in found.summary
    assert remedy in found.remedy


def test_all_mistakes_of_a_file_are_reported_at_once() -> None:
    text = (
        GOOD.replace("pipeline: support", "pipelin: support")
        .replace("artifact: kb@1", "artifact: kb@7")
        .replace("[5, 50, 100]", "[50, 5, 100]")
        .replace("segment: internal", "segment: {in: []}")
        .replace('version: "1", requires', 'version: "1", version: "2", requires')
    )
    found = mistakes(text)
    assert [d.line for d in found] == [2, 5, 8, 10, 15], found


def test_a_shadowed_audience_and_a_shadowed_channel_are_named() -> None:
    stages = "  strategy: staged\n  stages:\n" + "".join(
        f"    - {{audience: {name}, percent: [100]}}\n" for name in ("beta", "narrow", "everyone")
    )
    text = GOOD.replace("  beta:", "  narrow: {segment: power}\n  beta:") + stages
    channels = "channels:\n  wide: {route: {region: [eu, us]}}\n  inner: {route: {region: eu}}\n"
    found = [d.summary for d in mistakes(text + channels)]
    assert any("audience 'narrow' is shadowed" in summary for summary in found)
    assert any("channel 'inner' is shadowed" in summary for summary in found)


def test_residency_that_no_plan_can_keep_is_refused() -> None:
    text = GOOD.replace("kb@1}", "kb@1, regions: [us]}") + "allowed_regions: [eu]\n"
    first, second = mistakes(text)
    assert "residency: index runs in us, and channel 'default' allows eu" in first.summary
    assert "residency: agent runs in eu, us (it names no regions, so everywhere), and channel" in second.summary
    assert (first.line, second.line) == (10, 11)


@pytest.mark.parametrize(("own", "line"), [("regions: [eu, us]", 18), ("regions: []", 18), ("parameters: {}", 10)])
def test_a_component_that_also_runs_where_its_channel_does_not_allow_is_refused(own: str, line: int) -> None:
    channel = "channels:\n  european:\n    route: {country: de}\n    allowed_regions: [eu]\n    components: "
    load(GOOD + channel + "{index: {regions: [eu]}, agent: {regions: [eu]}}\n")
    (found,) = mistakes(GOOD + channel.replace("components: ", f"components:\n      index: {{{own}}}\n      ")
                        + "agent: {regions: [eu]}\n")  # fmt: skip
    assert "residency: index runs in eu, us" in found.summary
    assert "channel 'european' allows eu" in found.summary


def test_what_exists_once_can_not_differ_in_a_channel() -> None:
    text = GOOD.replace("kb@1}", "kb@1, in_place: true}")
    text += "channels: {eu: {route: {region: eu}, components: {index: {parameters: {k: 1}}}}}\n"
    (found,) = mistakes(text)
    assert "'index' exists once" in found.summary


def test_what_pipelines_share_is_declared_alike() -> None:
    component = "{artifact: kb@1, shared: true, replicas: %d}"
    pipelines = (
        f"pipelines:\n  a: {{components: {{kb: {component % 1}}}}}\n  b: {{components: {{kb: {component % 2}}}}}\n"
    )
    text = GOOD[: GOOD.index("components:")] + pipelines
    (found,) = mistakes(text)
    assert "'kb' is shared, but its replicas is not as in pipeline 'a'" in found.summary


def test_a_flag_that_is_on_must_find_what_it_needs() -> None:
    flags = "flags: {cite: {value: true, requires: {passage-schema: '>=2'}}}\n"
    (found,) = mistakes(GOOD + flags)
    assert "flag 'cite' requires passage-schema >=2, and only 1 is provided" in found.summary
    load(GOOD + flags.replace("true", "false"))


def test_a_mistake_in_an_included_file_is_reported_there() -> None:
    included = '- {kind: dataset, name: d, version: "1"}\n- {kind: model-weights, name: kb, verson: "2"}\n'
    with pytest.raises(DeclarationError) as caught:
        load(GOOD + "include: [more.yaml]\n", read=lambda name: included)
    (found,) = caught.value.diagnostics
    assert (found.file, found.line, found.column) == ("more.yaml", 2, 35)
    assert "Did you mean 'version'?" in found.remedy


def test_a_missing_include_is_reported_where_it_is_named() -> None:
    def read(name: str) -> str:
        raise FileNotFoundError(2, "No such file or directory", name)

    with pytest.raises(DeclarationError) as caught:
        load(GOOD + "include: [gone.yaml]\n", read=read)
    assert [(d.line, d.column) for d in caught.value.diagnostics] == [(16, 11)]


# ---- hostile YAML -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        ("a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
            f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
        ), "expands to more than"),
        ("a: &a [*a]\n", "expands to more than"),
        ("a: " + "[" * 50_000, "nested deeper than"),
        ("a: " + "{a: " * 500 + "1" + "}" * 500, "nested deeper than"),
        ("a: !!python/object/apply:os.system ['touch owned']\n", "the tag"),
        ("a: !!python/name:os.system\n", "the tag"),
        ("a: 1\n---\nb: 2\n", "another document"),
        ("\x00", "special characters"),
        ("- a\n", "is a mapping"),
        ("", "is empty"),
        ("? [a, b]\n: c\n", "a key must be plain text"),
    ],
    ids=["bomb", "self", "lists", "mappings", "apply", "name", "documents", "nul", "list", "empty", "key"],
)  # fmt: skip
def test_a_hostile_file_is_refused_and_does_nothing(
    text: str, summary: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = mistakes(text)
    assert any(summary in d.summary for d in found), found
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_100_mb_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with open(tmp_path / "rollcast.yaml", "wb") as file:
        file.truncate(100 * 1024 * 1024)
    with pytest.raises(StackError, match="100 MiB"):
        Project.open(tmp_path)


def mistakes_of(text: str) -> list[Diagnostic]:
    """What is wrong with a text; nothing when it is good."""
    try:
        load(text)
    except DeclarationError as error:
        return list(error.diagnostics)
    return []


@given(st.text(max_size=200))
def test_no_text_at_all_crashes_the_reader(text: str) -> None:
    assert all(d.line >= 1 and d.column >= 1 and d.summary and d.remedy for d in mistakes_of(text))


@given(st.data())
def test_a_spoilt_declaration_is_refused_with_its_mistakes_or_is_still_good(data: st.DataObject) -> None:
    words = list(re.finditer(r"[\w.>@-]+|[\[\]{}:,]", GOOD))
    word = data.draw(st.sampled_from(words))
    odd = ("", "0", "-1", "null", "[]", "{}", "~")
    other = data.draw(st.sampled_from([found.group() for found in words]) | st.sampled_from(odd))
    found = mistakes_of(GOOD[: word.start()] + other + GOOD[word.end() :])
    assert all(d.line >= 1 and d.column >= 1 and d.summary and d.remedy for d in found), found


# ---- what only a plan can know ------------------------------------------------------------------


def changed(text: str, *artifacts: str) -> str:
    """The declaration with more artifacts, index and agent on their second versions where there is one."""
    more = "".join(f"  - {{{artifact}, version: '2'}}\n" for artifact in artifacts)
    text = text.replace("artifacts:\n", f"artifacts:\n{more}")
    for name in ("kb", "agent"):
        if any(f"name: {name}," in artifact for artifact in artifacts):
            text = text.replace(f"artifact: {name}@1", f"artifact: {name}@2")
    return text


KB = "kind: retrieval-index, name: kb, provides: {passage-schema: '2'}"
AGENT = "kind: model-weights, name: agent, requires: {passage-schema: '2'}"


def test_a_plan_without_room_says_how_much_is_missing() -> None:
    text = GOOD.replace("kb@1}", "kb@1, needs: {accelerators: 5}}").replace('">=1"', '"1"')
    with pytest.raises(
        CapacityError,
        match=r"does not fit beside what runs: 10 accelerators needed, 8 declared: 2 missing\. In place, .* must "
        r"switch together .* can't run twice: no order is safe, unless 'rollout: \{maintenance_pause: true\}' is "
        r"declared\. Raise the capacity for the time",
    ):
        make_plan(load(changed(text, KB, AGENT)), live_as_declared(load(text)))


def test_a_group_that_can_not_run_twice_is_refused_with_both_ways_out() -> None:
    text = GOOD.replace("kb@1}", "kb@1, in_place: true}").replace('">=1"', '"1"')
    new = changed(text, KB, AGENT)
    with pytest.raises(
        NoSafeOrder, match=r"switch together.*index can't run twice.*in_place: false.*maintenance_pause"
    ):
        make_plan(load(new), live_as_declared(load(text)))
    make_plan(load(new + "  maintenance_pause: true\n"), live_as_declared(load(text)))
