"""A target that a ledger wrote to, in a split, and the ledger: without an engine or a service, so it is made fast."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rollcast.planner.plan.models import Share
from rollcast.planner.releases.releases import Release, canonical, digest_of, releases_of, tracks_of
from rollcast.planner.routing.split import flag_key
from rollcast.stacks.base import failpoints
from rollcast.stacks.flags import Holding
from rollcast.stacks.flags.definitions import compiled, document_of
from rollcast.stacks.instances import InstanceSpec, Placed, Provisioning
from rollcast.stacks.ledger.ledger import Ledger, open_ledger
from rollcast.stacks.project import Project, read_declaration
from rollcast.stacks.state.live import target_at
from rollcast.stacks.targets.target import Target

SCOPE = "shop/dev"
TEXT = """
schema: rollcast/v1
pipeline: shop
artifacts:
  - {kind: prompt-template, name: p, version: "1", source: "file:m/1"}
  - {kind: prompt-template, name: p, version: "2", source: "file:m/2"}
components: {answer: {artifact: p@1}}
environments:
  dev: {default: true, target: {definition: target/flags.json, instances: target/instances}}
"""


class World:
    """A project folder whose ledger wrote what its target holds."""

    def __init__(self, folder: Path, percent: float = 50.0) -> None:
        self.folder, self.file = folder, folder / ".rollcast/ledger.db"
        (folder / "m").mkdir(parents=True)
        for version in "12":
            (folder / "m" / version).write_text(f"prompt {version}\n", "utf-8")
        (folder / "rollcast.yaml").write_text(TEXT, "utf-8")
        self.old, self.new = (self._release(version) for version in "12")
        ledger = self.ledger()
        lease = ledger.acquire()
        self.lineage = ledger.append("note", "ro-1", {"text": "a history"}, lease).hash
        ledger.release(lease)
        self._put(lease.token, percent)
        self.hold(identity={**lease.holder.to_json(), "began": "long ago"})

    @property
    def project(self) -> Project:
        return Project.open(self.folder, "dev")

    @property
    def target(self) -> Target:
        return target_at(self.folder, self.project.environment, SCOPE)

    def ledger(self) -> Ledger:
        return open_ledger(self.folder, SCOPE)

    def lose(self) -> None:
        self.file.unlink()

    def hold(self, *, ledger: str = "", **said: Any) -> None:
        """The target says which ledger and driver hold it; by default a process that has ended."""
        place = ledger or f"{self.file} on another-host"
        holding = Holding(lineage=self.lineage, ledger=place, driver="process 7", rollout="ro-1", since_s=0.0, **said)
        self.target.put_holding(self.target.newest(), ["shop"], holding)

    def said(self) -> dict[str, Any]:
        """All that the target holds but for whose it is."""
        flag = json.loads(json.dumps(self.target.flags()))
        for one in flag.values():
            one["metadata"].pop("rollcast_owner", None)
        placed = {folder: item.model_copy(update={"owner": ""}) for folder, item in self.target.placed().items()}
        return {"flags": flag, "placed": placed}

    def owners(self) -> set[str]:
        flags = {flag["metadata"]["rollcast_owner"] for flag in self.target.flags().values()}
        return flags | {item.owner for item in self.target.placed().values()}

    def _release(self, version: str) -> Release:
        text = TEXT.replace("answer: {artifact: p@1}", f"answer: {{artifact: p@{version}}}")
        (self.folder / "other.yaml").write_text(text, "utf-8")
        _, declaration = read_declaration(self.folder, "other.yaml")
        digests = {f"p@{number}": digest_of(number) for number in "12"}
        return releases_of(declaration, digests)["default"]

    def _put(self, token: int, percent: float) -> None:
        target, releases = self.target, {release.id: release for release in (self.old, self.new)}
        target.claim(token)
        shares = [Share(line="default", percent=percent, release=self.new.id)] if percent else []
        if percent < 100:
            shares.append(Share(line="default", percent=100 - percent, release=self.old.id))
        lines = tracks_of(self.project.declaration)
        flag, documents = compiled("shop", lines, {"default": tuple(shares)}, releases, {}, self.lineage)
        for release in releases.values():
            documents[digest_of(document_of(release))] = canonical(document_of(release))
        for digest, body in documents.items():
            target.put_document(token, digest, body)
        for release in releases.values():
            for slot, folder in release.folders.items():
                self._instance(target, token, release, slot, folder)
        target.put_flag(token, flag_key("shop"), flag)

    def _instance(self, target: Target, token: int, release: Release, slot: str, folder: str) -> None:
        content = self.folder / "content"
        content.mkdir(exist_ok=True)
        digest = release.slots[slot].digest
        (content / "manifest.json").write_text(json.dumps({"digest": digest}), "utf-8")
        placed = Placed(
            folder=folder, digest=digest, release=release.id, slot=slot, document=digest_of(document_of(release)),
            owner=self.lineage, pipeline="shop",
        )  # fmt: skip
        target.instances[0].put_instance(token, placed, content, InstanceSpec(), Provisioning())


def killed_at(call: Callable[[], object], number: int) -> bool:
    """Runs a call in a process of its own, which is killed at the failpoint of this number; whether it got there."""
    child = os.fork()
    if not child:
        passed = iter(range(1 << 30))

        def hook(name: str) -> None:
            if next(passed) == number:
                os.kill(os.getpid(), signal.SIGKILL)

        failpoints.install(hook)
        try:
            call()
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "it failed, and was not killed"
    return os.WIFSIGNALED(status)
