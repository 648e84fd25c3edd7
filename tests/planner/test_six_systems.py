"""The six example systems: declarations without a mistake, safe plans, and plans that read as they did.

The plan between `released.yaml` and `rollcast.yaml` of each is `plan.txt` beside them. After a wanted change, write
them again with `UPDATE_GOLDEN=1 pytest tests/planner/test_six_systems.py`, and read the difference.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from rollcast.cli.output.plan import text_of
from rollcast.planner.plan.models import Plan
from rollcast.planner.planning.planner import live_as_declared, make_plan
from rollcast.planner.safety.invariants import violations
from rollcast.simulator.stations.profiles import profile_of
from rollcast.stacks.artifacts.building import materialize
from rollcast.stacks.artifacts.recipes import definitions_of
from rollcast.stacks.project import Project
from rollcast.stacks.registries.trees import files_below

EXAMPLES = Path(__file__).parents[2] / "examples"
SYSTEMS = (
    "coding-assistant",
    "customer-support",
    "image-generation",
    "rag-search",
    "transcription",
    "workflow-platform",
)
LIVE = {*SYSTEMS} - {"workflow-platform"}  # with builds that take seconds each


def plan_of(system: str) -> Plan:
    project = Project.open(EXAMPLES / system)
    live = live_as_declared(*project.sibling("released.yaml"))
    return make_plan(project.declaration, live, project.environment_name, project.digests)


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_plan_of_a_system_reads_as_it_did(system: str) -> None:
    golden, text = EXAMPLES / system / "plan.txt", text_of(plan_of(system)) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text, "utf-8")
    assert text == golden.read_text("utf-8")


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_plan_of_a_system_breaks_no_invariant(system: str) -> None:
    assert list(violations(plan_of(system))) == []


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_system_is_locked_to_content_but_for_what_a_vendor_hosts(system: str, tmp_path: Path) -> None:
    """Each content is there to be made, and holds more than its own name."""
    folder = tmp_path / system
    shutil.copytree(EXAMPLES / system, folder, ignore=shutil.ignore_patterns(".rollcast"))
    project = Project.open(folder)
    assert project.pinned == project.resolved(offline=True).lock.artifacts
    definitions = definitions_of(project.declaration)
    for artifact in project.declaration.artifacts:
        if artifact.by_name or (system in LIVE and artifact.build):
            continue  # these train models and let voices speak; their own tests run them
        made = materialize(artifact.reference, definitions, project.digests, folder)
        content = {name: file.read_text("utf-8") for name, file in files_below(made) if name != "manifest.json"}
        assert content or artifact.parameters.get("text"), f"{artifact.reference} is nothing"
        for text in content.values():
            assert not text.lstrip().startswith('{\n  "name"'), f"{artifact.reference} is no more than its name"


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_profile_of_a_system_is_one_that_the_simulator_knows(system: str) -> None:
    for artifact in Project.open(EXAMPLES / system).declaration.artifacts:
        profile_of(artifact)


def order_of(system: str) -> list[str]:
    return list(dict.fromkeys(m.step for m in plan_of(system).milestones if m.kind == "shift"))


def test_support_releases_the_policy_together_with_the_sources_that_it_checks() -> None:
    assert "sources+policy" in order_of("customer-support")


def test_support_tries_a_quiet_region_before_everyone() -> None:
    audiences = [m.audience for m in plan_of("customer-support").milestones if m.step == "sources+policy"]
    assert audiences.index("internal") < audiences.index("quiet-region") < audiences.index("everyone")


def test_coding_changes_the_analysis_the_model_and_its_prompt_together_and_tries_it_on_testers_first() -> None:
    plan = plan_of("coding-assistant")
    assert order_of("coding-assistant") == ["analyzer.prompt+completion.prompt+completion"]
    audiences = list(dict.fromkeys(m.audience for m in plan.milestones if m.kind == "shift"))
    assert audiences == ["internal-testers", "experienced-users", "everyone"]


def test_images_are_compared_by_a_quarter_switched_once_and_the_old_engine_stays_warm() -> None:
    plan = plan_of("image-generation")
    shifts = [m for m in plan.milestones if m.kind == "shift"]
    assert [m.percent for m in shifts] == [25.0, 100.0]
    assert len({m.step for m in shifts}) == 1
    assert shifts[1].bake_min_s == 10 > shifts[0].bake_min_s


def test_speech_is_judged_by_the_accent_that_it_was_widened_for_before_anybody_else() -> None:
    plan = plan_of("transcription")
    audiences = [m.audience for m in plan.milestones if m.kind == "shift"]
    assert audiences[0] == "west-midlands"
    assert audiences[-1] == "everyone"


def test_what_hears_and_what_may_be_heard_change_in_tandem() -> None:
    assert order_of("transcription") == ["acoustic+lm-policy+translation"]


def test_platform_pipelines_never_have_two_groups_under_analysis() -> None:
    plan = plan_of("workflow-platform")
    for serving in plan.servings():
        split = [track for track, shares in serving.items() if len({s.release for s in shares}) > 1]
        assert len(split) <= 1


def test_what_the_platform_shares_changes_once_for_all_its_pipelines() -> None:
    swaps = [o for o in plan_of("workflow-platform").operations if o.in_place]
    assert [(o.component, o.instance) for o in swaps] == [("gateway", "shared/gateway/in-place")]
