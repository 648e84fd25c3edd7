"""A team's releases from merge to production on one machine: repository, controller, three environments, two people.

Run: make demo-team (or python examples/team/run.py [--folder DIR] [--short]). Everything is real: git, the controller,
the engine, served requests, signed webhooks. Exits 1 where one of its claims does not hold.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import secrets
import shutil
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))

from demos.counting import count
from demos.replicas import background, free_port, serving
from team.load import Load
from team.news import Item, News
from team.people import ROLLCAST, Approvers, history, rollcast
from team.repository import ENVIRONMENTS, SOAK_S, Repository

EXAMPLES = Path(__file__).resolve().parents[1]
SERVICE = str(Path(__file__).with_name("service.py"))
PROMISED_S = 180.0  # from merge to production
PATIENCE_S = 600.0
PAUSE_S = 8.0


class Team:
    """The running system, and what was claimed of it so far."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        self.folder, self.claims = folder, list[tuple[str, bool, str]]()
        os.environ["NEWS_KEY"] = "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
        self.news = stack.enter_context(News(os.environ["NEWS_KEY"]))
        ports = {name: free_port() for name in ENVIRONMENTS}
        self.at = {name: folder / name for name in ENVIRONMENTS}
        for name in ENVIRONMENTS:
            self.at[name].mkdir(parents=True)
        live = {name: self.at[name] / ".rollcast/live" for name in ENVIRONMENTS}
        self.repository = Repository(folder, ports, live, self.news.url)
        for name in ENVIRONMENTS:
            stack.enter_context(serving(self.at[name], [ports[name]], [SERVICE]))
        self.load = Load(ports)
        self.token = secrets.token_hex(16)
        self.project, self.address = folder, ""
        self._stack = stack

    def follow(self) -> None:
        """Starts the controller, which follows the repository from now on, and two people who hear the news."""
        self.address = self._stack.enter_context(controller(self.folder, self.repository.bare, self.token))
        until_s = time.monotonic() + PATIENCE_S
        while not (found := list((self.folder / "state/projects").glob("*/rollcast.yaml"))):
            if time.monotonic() > until_s:
                sys.exit(f"The controller has not begun; see {self.folder / 'controller.log'}.")
            time.sleep(0.1)
        self.project = found[0].parent
        self.approvers = Approvers(self.project)
        self.news.listeners.append(self.approvers.hear)

    def note(self, text: str) -> None:
        """What this demo itself does."""
        print(f"  {time.monotonic() - self.news.began_s:6.1f} s  {text}", flush=True)

    def claim(self, text: str, holds: bool, measured: str) -> None:
        self.claims.append((text, holds, measured))
        print(f"  {'holds' if holds else 'DOES NOT HOLD'}: {text} ({measured})", flush=True)

    def await_news(self, environment: str, what: str, since: int) -> Item:
        """Ends the demo where it does not come."""
        wanted = (environment, what)
        found = self.news.await_item(lambda item: (item.environment, item.what) == wanted, since, PATIENCE_S)
        if found is None:
            sys.exit(f"The demo stops here: nothing was {what} in {environment} within {PATIENCE_S:g} s.")
        return found

    def merge(self, version: str, message: str) -> int:
        """Merges a release and lets the controller look; how many pieces of news there were until then."""
        since = len(self.news.items)
        self.repository.merge(version, message)
        self.note(f"merged: {message}")
        if self.address:
            self.post("/sync", {})
        return since

    def post(self, path: str, body: dict[str, Any]) -> None:
        """A call of the controller, as a code host or an alert manager makes it."""
        headers = {"authorization": f"Bearer {self.token}", "content-type": "application/json"}
        request = urllib.request.Request(f"{self.address}{path}", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            answer.read()

    def reached(self) -> int:
        """How many milestones were ever reached, in all environments."""
        return sum(len(one["milestones"]) for name in ENVIRONMENTS for one in history(self.project, name))


@contextmanager
def controller(folder: Path, repository: Path, token: str) -> Iterator[str]:
    """A controller, and the address that it listens at; its rollouts stop at a safe state when the block ends."""
    port = free_port()
    words = ["--listen", f"127.0.0.1:{port}", "--state", str(folder / "state"), "--interval", "1s", "--no-forecast"]
    os.environ["ROLLCAST_CONTROLLER_TOKEN"] = token
    with background(folder, "controller", "controller", str(repository), *words, program=ROLLCAST):
        yield f"http://127.0.0.1:{port}"


def say(title: str, *lines: str) -> None:
    print(f"\n=== {title}", *(f"    {line}" for line in lines), sep="\n", flush=True)


def first(team: Team) -> None:
    say("Three environments", f"In {team.folder}: dev, then staging, then production; nothing serves yet.")
    began_s = time.monotonic()
    team.merge("1", "policy 1, the first release")
    team.follow()
    _promised(team, "first release", began_s, 0)


def good(team: Team) -> None:
    say("A good release", "Merged once. Ana and Bo approve it for production, and Ana confirms that everybody gets it.")
    began_s = time.monotonic()
    _promised(team, "good release", began_s, team.merge("2", "policy 2, a warmer greeting"))


def _promised(team: Team, name: str, began_s: float, since: int) -> None:
    """What holds of a release that goes from merge to production by itself and two people."""
    team.await_news("production", "deployed", since)
    took_s = time.monotonic() - began_s
    team.claim(f"{name}: merge to production in under {PROMISED_S:g} s", took_s < PROMISED_S, f"{took_s:.0f} s")
    last = history(team.project, "production")[0]
    approved = sorted(last["approved_by"])
    team.claim(f"{name}: both approved it, and the ledger says so", approved == ["ana", "bo"], ", ".join(approved))
    confirmed = [one["by"] for one in last["confirmations"] if one["confirmed"]]
    team.claim(
        f"{name}: one of them confirmed it for everybody", confirmed == ["ana"], ", ".join(confirmed) or "nobody"
    )


def bad(team: Team) -> None:
    say("A bad release", "Its policy withholds nothing. Developers do not ask for secrets; users of staging do.")
    before = history(team.project, "production")
    since = team.merge("3", "policy 3, which forgot what to withhold")
    team.await_news("dev", "deployed", since)
    caught = team.await_news("staging", "rolledback", since)
    team.claim("its gate rolled it back in staging", "violation_rate" in caught.reason, caught.reason[:70])
    (release,) = history(team.project, "staging")[0]["to_release"].values()
    met = count(team.at["production"]).served[release]
    unmoved = len(history(team.project, "production")) == len(before)
    team.claim("nobody in production was served by it", met == 0 and unmoved, f"{met} requests, no rollout")
    since = team.merge("2", "back to policy 2")
    team.await_news("dev", "deployed", since)


def hotfix(team: Team) -> None:
    say("A hotfix", "It does not wait for staging: 'rollcast apply --hotfix REASON', with both approvals all the same.")
    since = team.merge("4", "policy 4, which withholds an old password")
    begun = team.await_news("dev", "began", since)
    team.approvers.approve(begun.release, "the old password is out")
    words = ("apply", "--hotfix", "the old password is out", "--auto-approve", "--no-forecast")
    code, said = rollcast(team.project, "--env", "production", *words)
    for line in said.splitlines():
        if "hotfix" in line or "Error" in line:
            print(f"            {line.strip()}")
    team.await_news("production", "deployed", since)
    last = history(team.project, "production")[0]
    staged = team.await_news("staging", "deployed", since)
    began = team.await_news("production", "began", since)
    early_s = staged.at_s + SOAK_S - began.at_s
    team.claim("the hotfix went through, and its reason is kept", code == 0 and bool(last["hotfix"]), last["hotfix"])
    team.claim("it overtook: it began before it was eligible", early_s > 0, f"{early_s:.0f} s before")


def incident(team: Team) -> None:
    say("An incident", "The alert manager pulls the brake for all environments while a release is on its way.")
    since = team.merge("5", "policy 5, another greeting")
    team.await_news("dev", "began", since)
    team.post("/brake", {"pulled": True, "reason": "incident 4711"})
    team.note("the brake is pulled")
    time.sleep(PAUSE_S)  # an operation in flight ends
    before, answered = team.reached(), team.load.answered
    time.sleep(PAUSE_S)
    moved, served = team.reached() - before, team.load.answered - answered
    deployed = [item for item in team.news.items[since:] if item.what == "deployed"]
    team.claim("nothing advanced while it held", moved == 0 and not deployed, f"{moved} milestones in {PAUSE_S:g} s")
    team.claim("requests were answered meanwhile", served > 0, f"{served} requests")
    team.post("/brake", {"pulled": False, "reason": "incident closed"})
    team.note("the brake is released")
    last = team.await_news("production", "deployed", since)
    team.claim("it went on by itself, to production", last.environment == "production", f"{last.release} serves")


def sums(team: Team) -> None:
    """What holds of every request and every notification."""
    served = {name: count(team.at[name]) for name in ENVIRONMENTS}
    mixed = sum(found.mixed for found in served.values())
    requests = sum(found.served.total() for found in served.values())
    team.claim("no request was lost", team.load.lost == 0, f"{team.load.lost} of {requests}")
    team.claim("no request was served by a broken mix", mixed == 0, f"{mixed} of more than one configuration")
    signed = f"{len(team.news.items)} taken, {team.news.refused} refused"
    team.claim("every notification was signed", team.news.refused == 0 and bool(team.news.items), signed)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=EXAMPLES.parent / "build/demo-team", help="it is emptied first")
    parser.add_argument("--short", action="store_true", help="the first release alone")
    options = parser.parse_args()
    began_s = time.monotonic()
    with ExitStack() as stack:
        team = Team(options.folder.resolve(), stack)
        first(team)
        with team.load:
            time.sleep(1.0)
            for part in () if options.short else (good, bad, hotfix, incident):
                part(team)
    sums(team)
    say("What held", f"{time.monotonic() - began_s:.0f} s in all")
    for text, holds, measured in team.claims:
        print(f"  {'yes' if holds else 'NO':<4}{text:<56}{measured}")
    return 0 if all(holds for _, holds, _ in team.claims) else 1


if __name__ == "__main__":
    sys.exit(main())
