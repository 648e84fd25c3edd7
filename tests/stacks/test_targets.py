"""Flags and instances, each by itself or in the short form: what is chosen, what is one place, what flags carry."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcast.planner.base.errors import DeclarationError
from rollcast.planner.declaration.models import ArtifactKind, Declaration, Environment, InstancesSettings
from rollcast.planner.loading.loader import load
from rollcast.plugins.settings import settings_of
from rollcast.stacks.flags.definitions import CONTENT, content_digest
from rollcast.stacks.instances import Instances, Placed
from rollcast.stacks.targets.addresses import addressed_flag, addressed_variant
from rollcast.stacks.targets.opening import is_same_place, target_of
from rollcast.stacks.targets.target import Target

SLOTS = ("embedder", "index", "generator", "generator.prompt")
DECLARED = """
schema: rollcast/v1
pipeline: p
artifacts: [{kind: model-weights, name: bot, version: "1", source: "file:bot"}]
components: {bot: {artifact: bot@1}}
environments: {e: {ENVIRONMENT}}
"""
PROCESS = 'kind: process, command: [bot, "{port}"]'


def declared(environment: str) -> Declaration:
    text = DECLARED.replace("ENVIRONMENT", environment)
    return load(text, "rollcast.yaml", lambda name: "", settings_of)


# ---- what is chosen -----------------------------------------------------------------------------

kinds = st.sampled_from([f"k{number}" for number in range(4)]).map(lambda kind: {"kind": kind})
choices = st.fixed_dictionaries(
    {"default": kinds},
    optional={
        "components": st.dictionaries(st.sampled_from([*SLOTS, *(f"p/{slot}" for slot in SLOTS)]), kinds),
        "kinds": st.dictionaries(st.sampled_from([kind.value for kind in ArtifactKind]), kinds),
    },
)


@given(choices, st.sampled_from(["p", "q"]), st.sampled_from(SLOTS), st.sampled_from(list(ArtifactKind)))
def test_a_component_is_chosen_before_its_kind_and_the_nearest_name_first(
    given: dict[str, Any], pipeline: str, slot: str, kind: ArtifactKind
) -> None:
    named, of_kind = given.get("components", {}), given.get("kinds", {})
    wanted = named.get(f"{pipeline}/{slot}") or named.get(slot) or of_kind.get(kind.value) or given["default"]
    settings = InstancesSettings.model_validate(given)
    assert settings.of(pipeline, slot, kind.value).kind == wanted["kind"]
    again = InstancesSettings.model_validate_json(settings.model_dump_json())
    assert again == settings


def test_who_declares_neither_has_the_words_of_before() -> None:
    assert set(Environment().model_dump()) & {"flags", "instances"} == set()


# ---- what is the same place ---------------------------------------------------------------------


@given(st.sampled_from(["a/flags.json", ".rollcast/live/flags.json"]), st.sampled_from(["a/in", "b/in"]), st.booleans())
def test_the_short_form_and_the_long_one_are_one_place_where_their_paths_are(
    definition: str, instances: str, elsewhere: bool
) -> None:
    short = Environment.model_validate({"target": {"definition": definition, "instances": instances}})
    other = f"c/{instances}" if elsewhere else instances
    long = Environment.model_validate(
        {"flags": {"definition": definition}, "instances": {"default": {"kind": "folder", "path": other}}}
    )
    with TemporaryDirectory() as folder:
        root = Path(folder)
        assert is_same_place(short, long, root) is not elsewhere
        assert is_same_place(long, short, root) is not elsewhere
        if not elsewhere:
            assert target_of(short, root).places == target_of(long, root).places


# ---- what flags carry ---------------------------------------------------------------------------


class _Running:
    """Instances that run, as a target sees them."""

    addressed = True
    place = "running"

    def __init__(self, addresses: dict[str, str]) -> None:
        self._addresses = addresses

    def placed(self) -> dict[str, Placed]:
        return {name: Placed(folder=name, digest="sha256:1", address=at) for name, at in self._addresses.items()}


class _Content(_Running):
    addressed = False
    place = "content"


def _target(addresses: dict[str, str], content: dict[str, str]) -> Target:
    running: Any = _Running(addresses)
    beside: Any = _Content(content)

    def chosen(folder: str, slot: str, kind: str) -> Instances:
        made: Instances = beside if folder in content else running
        return made

    return Target(running, [running, beside], chosen)


folders = st.sets(st.sampled_from([f"p/{slot}/{number}" for slot in SLOTS for number in range(2)]), min_size=1)


@given(folders, st.data())
def test_a_flag_names_the_address_of_each_instance_and_its_own_content(names: set[str], data: st.DataObject) -> None:
    content = {name: "" for name in names if data.draw(st.booleans())}
    addresses = {name: f"http://127.0.0.1:{21000 + place}" for place, name in enumerate(sorted(names - set(content)))}
    components = {name.split("/")[1] + name[-1]: {"instance": name, "address": "http://old"} for name in sorted(names)}
    variant = {"release": "rel-1", "components": components}
    flag: dict[str, Any] = {"state": "ENABLED", "variants": {"rel-1": variant}, "defaultVariant": "rel-1"}
    flag["metadata"] = {CONTENT: content_digest(flag)}
    target = _target(addresses, content)
    found = addressed_flag(flag, target)
    assert found["metadata"][CONTENT] == content_digest(found), "who reads it back takes it for edited"
    assert addressed_flag(found, target) == found, "a flag that is written again changes"
    for part in found["variants"]["rel-1"]["components"].values():
        assert part.get("address", "") == addresses.get(part["instance"], ""), part
    assert addressed_variant(variant, target) == found["variants"]["rel-1"]
    json.dumps(found)


# ---- what a person gets wrong -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ("instances: {components: {bto: {kind: folder}}}", "6:45: there is no component 'bto'. Did you mean 'bot'?"),
        ("instances: {components: {bot: {kind: proc}}}", "there are no instances of kind 'proc'"),
        ("flags: {kind: flagdd}", "there are no flags of kind 'flagdd'. Did you mean 'flagd'?"),
        ("flags: {definitions: x}", "unknown key 'definitions'. Did you mean 'definition'?"),
        ("instances: {kinds: {model-weight: {kind: folder}}}", "model-weight"),
        ("target: {definition: x.json}, instances: {}", "'target' is the short form of 'flags' and 'instances'"),
        ("instances: {default: {kind: process, command: [bot]}}", "it has no way to know its port"),
        ('instances: {default: {kind: process, command: ["{prot}"]}}', "'{prot}' is no variable. Did you mean 'port'"),
        ('instances: {default: {kind: process, command: ["${KEY}"]}}', "give secrets under 'environment'"),
        ("instances: {default: {PROCESS, ports: 90000}}", "of ports from 1 to 65535"),
        ("instances: {default: {PROCESS, ready: {http: /, tcp: true}}}", "http and tcp stand there together"),
        ("instances: {default: {PROCESS, environment: {API_KEY: abc123}}}", "API_KEY"),
    ],
)  # fmt: skip
def test_each_mistake_has_its_place_and_its_remedy(environment: str, said: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        declared(environment.replace("PROCESS", PROCESS))
    assert said in str(caught.value)


def test_all_that_may_be_said_of_a_process_is_read() -> None:
    text = (
        "flags: {kind: flagd, definition: f.json, endpoint: 'http://127.0.0.1:1'}, instances: {default: {kind: folder, "
        "path: i}, kinds: {model-weights: {PROCESS, ports: 21000-21009, environment: {KEY: 'Bearer ${KEY}', "
        "J: '{{\"a\": 1}}'}, ready: {command: [curl, 'http://{host}:{port}']}}}}"
    )
    found = declared(text.replace("PROCESS", PROCESS)).environments["e"]
    assert found.endpoints == ("http://127.0.0.1:1",)
    assert found.reached_as(Environment()).endpoints == ()
    assert Environment.model_validate_json(found.model_dump_json()) == found
