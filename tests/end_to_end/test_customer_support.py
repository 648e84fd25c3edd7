"""The support chat as a running system, in short, and its parts held to properties.

What it builds is kept in build/ between runs, by digest. Its modules are loaded in a process of their own: every
example has a package named `dataplane`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.short_demos import short_demo

EXAMPLES = Path(__file__).parents[2] / "examples"
EXAMPLE = EXAMPLES / "customer-support"
DECLARED = ["released.yaml", "rollcast.yaml", "refuses.yaml", "misinforms.yaml"]
SHORTER = {  # the quiet region with most of the others, then everyone: what catches the bad ones is the first
    "min: 5s": "min: 1s",
    "margin: 0.15,": "margin: 0.12,",
    "min_sample: 50": "min_sample: 30",
    "    - {audience: internal, percent: [50]}\n": "",
    "{audience: everyone, percent: [50, 100]}": "{audience: everyone, percent: [100]}",
    "  error_rate: 0.05\n  gates: *gates\n  evaluate: *suite\n": "  error_rate: 0.05\n  gates: *gates\n",
    "quiet-region: {region: nz}": "quiet-region: {region: [nz, us]}",
}
BUILT = """
import json, os, sys, tempfile
from pathlib import Path
import build_index
import yaml
from dataplane import pipeline
from dataplane.monitor import Monitor
from dataplane.pipeline import Turn
from demos.building import Task, read_lines
from demos.errors import BrokenMix
from demos.instances import content
from tools import build_embedder, build_policy

made = Path(tempfile.mkdtemp())
declared = yaml.safe_load(Path("artifacts.yaml").read_text("utf-8"))
known = {f"{each['name']}@{each['version']}": each.get("parameters", {}) for each in declared}

def built(reference, build, *sources, again=""):
    out = made / f"{reference}{again}"
    if not out.is_dir():
        out.mkdir()
        build(Task(out, reference, known[reference], sources))
    return out

PAST = Path("datasets/customer-questions/2026-09")
TOPICS = built("question-topics@2", build_embedder.build, PAST)

def index(edition, held):
    folder = made / held
    folder.mkdir(exist_ok=True)
    (folder / f"{held}.json").write_text(Path(f"datasets/help-centre-articles/{held}.json").read_text("utf-8"))
    return built(f"verified-sources@{edition}", build_index.build, folder, TOPICS)

OLD, NEW = index("2026-10", "2026-10-28"), index("2026-11", "2026-11-18")

def parts(sources, policy, prompt="support-answer/7", memory="customer-history/5", also=()):
    trained = built(f"support-policy@{policy}", build_policy.build, PAST, *also)
    folders = (TOPICS, sources, "rerankers/2", "agents/11", f"prompts/{prompt}", "prompts/ticket-tools/3",
               f"prompts/{memory}", trained)
    return {slot: content(Path(f), pipeline.LOADERS) for slot, f in zip(pipeline.SLOTS, folders, strict=True)}

def ask(own, text, *before, flags=()):
    return pipeline.answer(own, Turn(text, before), lambda name: name in flags)

ROWS, LATER = read_lines(Path("questions/first.jsonl")), read_lines(Path("questions/later.jsonl"))
"""


def in_example(code: str) -> Any:
    """What a program prints that runs in the example's folder, as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", BUILT + code], cwd=EXAMPLE, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def seen() -> Any:
    """What the parts of the example do with the questions of its load."""
    return in_example("""
good, private = parts(NEW, "6"), parts(NEW, "6", "private-answer/1", "no-history/1")
trusting, strict = parts(NEW, "8"), parts(NEW, "7", also=(Path("datasets/escalations/2026-11"),))
monitor, found = Monitor(), {}

def rates(own):
    judged = [monitor.judged(ask(own, row["text"]), row) for row in ROWS]
    names = ("satisfaction", "hallucination", "rejected", "violation")
    return {name: sum(each[name] for each in judged) / len(judged) for name in names}

found["rates"] = {"good": rates(good), "trusting": rates(trusting), "strict": rates(strict)}

def mixed(sources, policy):
    try:
        ask(parts(sources, policy), ROWS[0]["text"])
    except BrokenMix:
        return True
    return False

found["mixed"] = [mixed(*each) for each in ((OLD, "5"), (OLD, "6"), (NEW, "5"), (NEW, "6"))]
lines = {line for passage in good["sources"].passages for line in passage.sentences}
cited = {passage.citation for passage in good["sources"].passages}
answers = [ask(own, row["text"], *before) for own in (good, private) for row in (*ROWS, *LATER)
           for before in ((), (ROWS[0]["text"],))]
found["uncited"] = [claim.citation for each in answers for claim in each.claims if claim.citation not in cited]
found["unquoted"] = [claim.text for each in answers[len(answers) // 2:] for claim in each.claims
                     if claim.text not in lines]
found["remembered"] = [row["text"] for row in (*ROWS, *LATER)
    if ask(private, row["text"]) != ask(private, row["text"], "My order 4711 is broken", ROWS[40]["text"])]
order = ask(good, "How long may I send a dress back?", "My order 4711 arrived").text
found["order"], found["private order"] = order, ask(private, "How long may I send it back?", "Order 4711 arrived").text
later = [(row, each) for row in LATER for each in ROWS if each.get("article") == row["article"]]
found["followed"] = [sum(monitor.judged(ask(good, row["text"], *before(each)), row)["satisfaction"]
    for row, each in later) / len(later) for before in (lambda each: (each["text"],), lambda each: ())]
forbidden = ask(good, "Show me the account of another customer", flags=("hand_over_to_human",))
found["handed"] = [forbidden.handed_over, ask(good, "Show me the account of another customer").handed_over]
damaged = "My mirror came damaged, how do I report that?"
found["refund"] = [any("card or account" in claim.text for claim in ask(good, damaged, flags=flags).claims)
    for flags in ((), ("proactive_refunds",))]
one, other = (built("support-policy@6", build_policy.build, PAST, again=again) for again in ("", "b"))
found["again"] = [(one / name).read_bytes() == (other / name).read_bytes() for name in ("rules.json", "classifier.npz")]
print(json.dumps(found))
""")


def test_sources_and_policy_only_work_with_each_others_version(seen: Any) -> None:
    assert seen["mixed"] == [False, True, True, False]


def test_what_leaves_cites_an_article_of_the_index_and_in_the_privacy_channel_quotes_it(seen: Any) -> None:
    assert seen["uncited"] == seen["unquoted"] == []


def test_an_answer_of_the_privacy_channel_depends_on_nothing_that_was_said_before(seen: Any) -> None:
    assert seen["remembered"] == []
    assert "4711" in seen["order"]
    assert "4711" not in seen["private order"]


def test_memory_is_what_makes_sense_of_a_turn_that_follows(seen: Any) -> None:
    with_memory, without = seen["followed"]
    assert with_memory > without + 0.3


def test_each_bad_policy_does_its_own_harm_and_the_good_one_neither(seen: Any) -> None:
    good, trusting, strict = (seen["rates"][name] for name in ("good", "trusting", "strict"))
    assert good["satisfaction"] > 0.8
    assert max(good["hallucination"], good["rejected"], good["violation"]) < 0.06
    assert trusting["hallucination"] > 0.12
    assert trusting["rejected"] == good["rejected"]
    assert strict["rejected"] > 0.12
    assert strict["hallucination"] == good["hallucination"]
    assert max(trusting["satisfaction"], strict["satisfaction"]) < good["satisfaction"] - 0.08


def test_a_question_that_is_refused_is_handed_over_only_where_the_flag_says_so(seen: Any) -> None:
    assert seen["handed"] == [True, False]


def test_a_refund_is_proposed_to_who_has_damaged_goods_where_the_flag_says_so(seen: Any) -> None:
    assert seen["refund"] == [False, True]


def test_the_same_questions_train_the_same_policy(seen: Any) -> None:
    assert seen["again"] == [True, True]


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The example's own demo, with shorter stages for nearly everybody."""
    with short_demo(monkeypatch, "customer-support", DECLARED, SHORTER) as made:
        yield made


@pytest.mark.engine
@pytest.mark.slow
def test_a_good_release_is_promoted_and_each_bad_one_is_caught_by_its_own_harm(
    demo: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    with demo.serving() as endpoint:
        demo.run("apply", "--file", "released.yaml", "--auto-approve", "--no-forecast")
        with demo.load(endpoint, "--seconds", "600"):
            demo.run("apply", "--auto-approve", "--no-forecast")
            for declared in ("refuses.yaml", "misinforms.yaml"):
                demo.run("apply", "--file", declared, "--auto-approve", "--no-forecast", expect=4)
        counts = demo.check_telemetry()
    summary = demo.finish()
    reasons = [rollout["reason"] for rollout in demo.history() if rollout["outcome"] == "rolled_back"]
    harms = {"hallucination_rate": 0, "rejection_rate": 1}  # the newest first
    assert [reason.split()[0] for reason in reasons] == list(harms), reasons
    assert (summary["promoted"], summary["mixed"], summary["lost"]) == (True, 0, 0), summary
    assert len(counts.replicas) == len(demo.replicas)
    assert "demo: {" in capfd.readouterr().out

    lines = (demo.folder / ".rollcast/live/telemetry/requests.jsonl").read_text("utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    private = [each for each in records if each["attributes"].get("regulatory_domain") == "gdpr-special-category"]
    assert private
    assert not [each for each in private if each["components"]["agent.memory"] != "no-history@1"]
    words = {"message", "turns", "answer", "wanted"}
    assert not [each for each in records if words & set(each)], "no words are kept"
