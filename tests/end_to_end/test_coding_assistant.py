"""The coding assistant as a running system, in short, and its parts held to properties.

Its smaller models are kept in build/ between runs, by digest. Its modules are loaded in a process of their own: every
example has a package named `dataplane`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.short_demos import short_demo

EXAMPLES = Path(__file__).parents[2] / "examples"
EXAMPLE = EXAMPLES / "coding-assistant"
DECLARED = ["released.yaml", "rollcast.yaml", "inline-diff.yaml", "less-javascript.yaml", "leaky.yaml"]
SHORTER = {  # a stage of the testers, and everyone: what catches the bad ones is the first
    "min: 5s": "min: 1s",
    "margin: 0.2,": "margin: 0.4,",
    "margin: 0.05,": "margin: 0.09,",
    "min_sample: 50": "min_sample: 30",
    "    - {audience: experienced-users, percent: [50]}\n": "",
    "{audience: everyone, percent: [50, 100]}": "{audience: everyone, percent: [100]}",
    "{segment: employee}": "{segment: [employee, power-user, standard]}",
}
no_node = pytest.mark.skipif(shutil.which("node") is None and not os.environ.get("CI"), reason="Node is not installed")


def in_example(code: str) -> Any:
    """What a program prints that runs in the example's folder, as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=EXAMPLE, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


SANDBOX = """
import json
from dataplane.sandbox import Sandbox, Tests
box, tests = Sandbox(), Tests("f", [([1], 1)])
def says(language, code): return [box.test(language, code, tests).passed, box.test(language, code, tests).why]
"""


@no_node
def test_what_a_completion_must_not_do_fails_its_tests_and_the_next_one_is_run_all_the_same() -> None:
    right, wrong = "def f(x): return x", "def f(x): return 2"
    bad = {
        "time": "def f(x):\n while True: pass",
        "memory": "def f(x): return 'a' * 10**9",
        "files": "def f(x): open('/etc/passwd'); return x",
        "network": "import _socket\ndef f(x): _socket.socket(); return x",
        "programs": "import os\ndef f(x): os.fork(); return x",
        "limits": "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n" + right,
        "sandbox": "import os\nos.kill(os.getppid(), 9)\n" + right,
    }
    script = {
        "time": "function f(x) { while (true); }",
        "memory": "function f(x) { const a = []; while (true) a.push(new Array(1e6).fill(1)); }",
        "files": "function f(x) { require('node:fs'); return x; }",
        "strings": "function f(x) { this.constructor.constructor('return 1')(); return x; }",
    }
    found = in_example(
        f"{SANDBOX}\nfound = {{}}\n"
        f"found['bad'] = {{name: says('python', code) for name, code in {bad!r}.items()}}\n"
        f"found['script'] = {{name: says('javascript', code) for name, code in {script!r}.items()}}\n"
        f"found['wrong'] = says('python', {wrong!r})\n"
        f"found['right'] = [says('python', {right!r}), says('javascript', 'function f(x) {{ return x; }}')]\n"
        "box.stop()\nprint(json.dumps(found))"
    )
    assert not [name for kind in ("bad", "script") for name, (passed, _) in found[kind].items() if passed], found
    assert found["wrong"] == [False, "gives 2, not 1"]
    assert found["right"] == [[True, ""], [True, ""]]


@no_node
def test_every_task_is_solved_by_the_body_that_it_was_drawn_with() -> None:
    """The tests come from what the parts mean, the body from how they are written: both are right, or one is not."""
    failed = in_example(
        "import json, sys\nfrom dataplane.sandbox import Sandbox\nfrom dataplane.service import tests_of\n"
        "from tools.tasks import LANGUAGES, request, task\nbox = Sandbox()\nfailed = []\n"
        "for language in LANGUAGES:\n  for number in range(60):\n    drawn = task(language, 'held', number)\n"
        "    given = request(drawn)\n    code = drawn.prefix + drawn.body + given['suffix']\n"
        "    if not box.test(language, code, tests_of(given)).passed: failed.append(code)\n"
        "box.stop()\nprint(json.dumps(failed))"
    )
    assert failed == []


def test_code_is_its_tokens_again_and_names_come_back() -> None:
    wrong = in_example(
        "import json\nfrom dataplane.analysis import load\nfrom dataplane.tokens import *\nfrom pathlib import Path\n"
        "from tools.tasks import LANGUAGES, task\nwrong, seer = [], load(Path('analyzers/3'))\n"
        "for language in LANGUAGES:\n  for number in range(300):\n    drawn = task(language, 'tokens', number)\n"
        "    names = seer.findings(language, drawn.prefix).names\n"
        "    stood = abstracted(tokens_of(drawn.body), names)\n"
        "    back = concrete(stood, {stand_in: name for name, stand_in in names.items()})\n"
        "    if back != drawn.body or drawn.name.split('_')[1] in stood: wrong.append([drawn.body, back])\n"
        "print(json.dumps(wrong))"
    )
    assert wrong == []


def test_the_monitor_sees_keys_that_the_guard_has_no_form_for_and_takes_no_code_for_one() -> None:
    found = in_example(
        "import json\nfrom dataplane import guard, monitor\nfrom load import LINES, workspace\n"
        "from pathlib import Path\n"
        "from tools.tasks import LANGUAGES, task\n"
        "keys = [line for seed in range(400) for line in workspace(seed) if 'API_KEY' in line]\n"
        "drawn = [task(language, 'monitored', number) for language in LANGUAGES for number in range(200)]\n"
        "code = [each.prefix + each.body for each in drawn]\n"
        "known = guard.load(Path('guards/3'))\n"
        "print(json.dumps([len(keys), sum(map(monitor.looks_secret, keys)), sum(map(known.withholds, keys)),"
        " sum(map(monitor.looks_secret, [*code, *LINES]))]))"
    )
    keys, seen, withheld, false_alarms = found
    assert seen == keys > 100
    assert 0.3 * keys < withheld < 0.7 * keys
    assert false_alarms == 0


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The example's own demo, with shorter stages for nearly everybody and smaller models."""
    with short_demo(monkeypatch, "coding-assistant", DECLARED, SHORTER) as made:
        for name in DECLARED:
            path = made.folder / name
            path.write_text(re.sub(r"solved: [\d.]+", "solved: 0.3", path.read_text("utf-8")), "utf-8")
        artifacts = made.folder / "artifacts.yaml"
        text = artifacts.read_text("utf-8").replace("python: 1500, javascript: 180", "python: 700, javascript: 60")
        text = text.replace("python: 900, javascript: 900", "python: 700, javascript: 700")
        artifacts.write_text(text.replace("python: 120, javascript: 60", "python: 40, javascript: 20"), "utf-8")
        yield made


@no_node
@pytest.mark.engine
@pytest.mark.slow
def test_a_good_release_is_promoted_and_each_bad_one_is_caught_by_its_own_harm(
    demo: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    demo.run("lock")
    with demo.serving() as endpoint:
        demo.run("apply", "--file", "released.yaml", "--auto-approve", "--no-forecast")
        with demo.load(endpoint, "--seconds", "600"):
            demo.run("apply", "--auto-approve", "--no-forecast")
            for declared in ("leaky.yaml", "less-javascript.yaml"):
                demo.run("apply", "--file", declared, "--auto-approve", "--no-forecast", expect=4)
        counts = demo.check_telemetry()
    summary = demo.finish()
    reasons = [rollout["reason"] for rollout in demo.history() if rollout["outcome"] == "rolled_back"]
    assert [reason.split()[0] for reason in reasons] == ["failed_javascript", "secret_leaked"], reasons
    assert (summary["promoted"], summary["mixed"], summary["lost"]) == (True, 0, 0), summary
    assert len(counts.replicas) == len(demo.replicas)
    assert "demo: {" in capfd.readouterr().out

    lines = (demo.folder / ".rollcast/live/telemetry/requests.jsonl").read_text("utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    private = [record for record in records if record["attributes"].get("repository") == "private"]
    assert private
    assert not [record for record in private if record["violation"] or record["channel"] != "private"]
    code = {"prefix", "suffix", "workspace", "completion", "tests"}
    assert not [record for record in records if code & set(record)], "no code is kept"
