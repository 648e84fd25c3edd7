"""What the team merges: a repository with a declaration of three environments, and the policies of its releases."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

ENVIRONMENTS = ("dev", "staging", "production")
SOAK_S = 8
POLICIES = {
    "1": {"greeting": "Hello.", "withhold": ["password", "card number"]},
    "2": {"greeting": "Good to see you.", "withhold": ["password", "card number"]},
    "3": {"greeting": "Good to see you!", "withhold": []},
    "4": {"greeting": "Good to see you again.", "withhold": ["password", "card number", "tiger"]},
    "5": {"greeting": "Welcome back.", "withhold": ["password", "card number", "tiger"]},
}
DECLARATION = """\
schema: rollcast/v1
pipeline: help-desk
artifacts:
{artifacts}
components:
  policy: {{artifact: policy@{version}}}
environments:
  dev:
    development: true
    default: true
{dev}
  staging:
    after: {{environment: dev}}
{staging}
  production:
    after: {{environment: staging, for: {soak}s, approved_by: [ana, bo], approvals: 2, hotfix: allowed}}
    confirm: [{{percent: 100, by: [ana, bo], on_denied: rollback}}]
{production}
rollout:
  percent: [50, 100]
  bake: {{min: 2s, max: 2m, then: rollback}}
  min_sample: 40
  look_every: 500ms
  timeout: 500ms
  gates:
    - {{metric: violation_rate, margin: 0.2, min_samples: 40}}
overrides:
  - {{policy: max-exposure, reason: this demo has half of few users on the new release, expires: "2999-01-01"}}
"""
ENVIRONMENT = """\
    target: {{definition: {live}/flags.json, instances: {live}/instances, endpoint: "http://127.0.0.1:{port}"}}
    telemetry: {{kind: jsonl, path: {live}/telemetry}}
    notify: [{{url: "{news}", secret: "${{NEWS_KEY}}"}}]"""


class Repository:
    """A bare repository at `bare`, and a working copy that pushes to it. `ports`, `live`: of each environment."""

    def __init__(self, folder: Path, ports: Mapping[str, int], live: Mapping[str, Path], news: str) -> None:
        self.work, self.bare = folder / "work", folder / "releases.git"
        self._environments = {
            name: ENVIRONMENT.format(live=live[name], port=ports[name], news=news) for name in ENVIRONMENTS
        }
        self.work.mkdir(parents=True)
        self._git("init", "--quiet")
        for version, policy in POLICIES.items():
            path = self.work / "policies" / version / "policy.json"
            path.parent.mkdir(parents=True)
            path.write_text(json.dumps(policy) + "\n", "utf-8")
        self._git("init", "--quiet", "--bare", str(self.bare))
        self._git("remote", "add", "origin", str(self.bare))

    def merge(self, version: str, message: str) -> None:
        """Another policy on the branch that the controller follows."""
        artifacts = "\n".join(
            f'  - {{kind: safety-policy, name: policy, version: "{each}", source: "file:policies/{each}"}}'
            for each in POLICIES
        )
        text = DECLARATION.format(artifacts=artifacts, version=version, soak=SOAK_S, **self._environments)
        (self.work / "rollcast.yaml").write_text(text, "utf-8")
        self._git("add", "--all")
        self._git("commit", "--quiet", "-m", message)
        self._git("push", "--quiet", "origin", "HEAD:main")

    def _git(self, *words: str) -> None:
        who = ["-c", "user.name=team", "-c", "user.email=team@example", "-c", "init.defaultBranch=main"]
        subprocess.run(["git", *who, "-C", str(self.work), *words], check=True, capture_output=True)
