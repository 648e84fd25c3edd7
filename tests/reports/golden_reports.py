"""The reports of the shipped examples as committed; `python -m tests.reports.golden_reports` writes them again.

Each is made as a user makes it: planned from what is released, replayed with recorded tokens and arrival times of users
whose attributes reach every audience of the examples, judged by the project's policies on a fixed day. Of the page only
the content is kept, without its style and script.
"""

from __future__ import annotations

import json
import random
from datetime import date, datetime
from pathlib import Path

from rollcast.cli.reports.content import report_of
from rollcast.cli.reports.markdown import markdown_of
from rollcast.cli.reports.subject import Named, Subject
from rollcast.planner.plan.models import Binding
from rollcast.planner.planning.planner import live_as_declared, make_plan
from rollcast.policies import judge
from rollcast.simulator.forecast.simulate import simulate
from rollcast.simulator.traffic.recording import read_traffic
from rollcast.stacks.project import Project

EXAMPLES = Path(__file__).parents[2] / "examples"
TRACE = EXAMPLES / "rag-search" / "traffic" / "AzureLLMInferenceTrace_conv.csv"
ATTRIBUTES = {
    "segment": ["employee", "beta", "power-user", "call-centre", "consumer", "consumer"],
    "region": ["nz", "eu", "us-east", "eu-west"],
    "editor_version": ["1.82.0", "1.79.3"],
    "regulatory_domain": ["none", "none", "none", "hipaa"],
    "request_family": ["completion", "completion", "completion", "agentic-edit"],
    "input_format": ["opus-48khz", "opus-48khz", "pcmu-8khz"],
    "repository": ["shared", "shared", "private"],
    "accent": ["us", "us", "west-midlands"],
    "snr_db": [8, 18, 24],
}
GOLDEN = Path(__file__).with_name("golden")
NAMES = sorted(path.parent.name for path in EXAMPLES.glob("*/rollcast.yaml"))
TODAY = date(2026, 11, 24)
RUNS, SEED = 20, 7
FEWER = {"workflow-platform": 4}  # runs of days of traffic on the readable engine
REQUESTS = {  # how many, seconds apart on average
    "rag-search": (20_000, 0.01), "image-generation": (20_000, 0.025), "transcription": (4_000, 0.17),
    "coding-assistant": (20_000, 0.03),
    "customer-support": (20_000, 0.04),
}  # fmt: skip
FEW = (5_000, 10.0)  # enough to see where a rollout of days would stop for want of proof


def subject_of(name: str, folder: Path) -> Subject:
    """The report's subject of one example; `folder` is for the short trace."""
    project = Project.open(EXAMPLES / name)
    live = live_as_declared(*project.sibling("released.yaml"))
    plan = make_plan(project.declaration, live, project.environment_name, project.digests)
    plan = plan.model_copy(update={"binding": Binding(tool_version="(version)")})
    traffic = read_traffic([traffic_in(folder, *REQUESTS.get(name, FEW))], seed=SEED)
    runs = FEWER.get(name, RUNS)
    forecast = simulate(plan, traffic, runs=runs, seed=SEED, workers=1, detect=1)
    judged = judge(
        project.folder,
        project.declaration,
        plan,
        today=TODAY,
        forecast=forecast,
        digests=project.pinned,
        file=project.file,
    ).on(plan)
    command = f"rollcast simulate --from released.yaml --traffic traffic.jsonl --runs {runs} --seed {SEED}"
    return Subject(judged, [Named("forecast", forecast)], command=command)


def traffic_in(folder: Path, requests: int, apart_s: float) -> Path:
    """Requests with the recorded tokens and the recorded irregularity, the recording repeated as often as needed."""
    rows = [row.split(",") for row in TRACE.read_text("utf-8").splitlines()[1:]]
    times = [datetime.fromisoformat(row[0][:26]).timestamp() for row in rows]
    stretch, lap_s = apart_s * len(rows) / (times[-1] - times[0]), apart_s * len(rows)
    luck = random.Random(SEED)
    users = [{name: luck.choice(values) for name, values in ATTRIBUTES.items()} for _ in range(requests // 2)]
    path = folder / "traffic.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for number in range(requests):
            lap, place = divmod(number, len(rows))
            row, at_s = rows[place], lap * lap_s + (times[place] - times[0]) * stretch
            user = luck.randrange(len(users))
            record = {
                "time": 1_790_000_000 + at_s, "request": f"r{number}", "key": f"u{user}",
                "latency_s": 0.0, "input_tokens": int(row[1]), "output_tokens": int(row[2]), "attributes": users[user],
            }  # fmt: skip
            file.write(json.dumps(record) + "\n")
    return path


def content_of(page: str) -> str:
    """A page without its style, its script and the policy that names their digests, one element a line."""
    start, end = page.index("<body>"), page.index("<script>")
    return page[start:end].replace("><", ">\n<")


def texts_of(name: str, folder: Path) -> dict[str, str]:
    """Both golden texts of an example by file name."""
    subject = subject_of(name, folder)
    return {f"{name}.md": markdown_of(subject), f"{name}.html": content_of(report_of(subject))}


if __name__ == "__main__":
    import tempfile

    GOLDEN.mkdir(exist_ok=True)
    for example in NAMES:
        with tempfile.TemporaryDirectory() as made:
            for file, text in texts_of(example, Path(made)).items():
                (GOLDEN / file).write_text(text, "utf-8")
