"""`rollcast bom`, `attest` and `verify`: what serves and why it may, for those who must prove it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rollcast.cli import files, terminal
from rollcast.cli.inputs.options import project_of

if TYPE_CHECKING:
    from rollcast.stacks.ledger.ledger import Ledger
    from rollcast.stacks.project import Project

OutOption = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write it there.")]


def bom(
    context: typer.Context,
    at: Annotated[
        str | None, typer.Option("--at", metavar="TIME", help="What served then; now where left out.")
    ] = None,
    release: Annotated[
        str | None, typer.Option("--release", metavar="R", help="Of this release, served or not.")
    ] = None,
    out: OutOption = None,
) -> None:
    """Write a CycloneDX bill of materials of what serves, or served."""
    import time

    from rollcast.cli.inputs.times import seconds_of
    from rollcast.stacks.ledger.audit import Audit
    from rollcast.stacks.ledger.bom import bom_of
    from rollcast.stacks.project import tool_version

    project = project_of(context)
    reading = Audit(_ledger(project))
    time_s = seconds_of(at) if at is not None else time.time()
    releases = {release: reading.release(release)[1]} if release is not None else reading.serving_at(time_s)
    contexts = [reading.release(name)[0] for name in releases]
    artifacts = {one.reference: one for found in contexts for one in found.declaration.artifacts}
    digests = {name: digest for found in contexts for name, digest in found.digests.items()}
    pipeline = project.declaration.pipeline
    _give(bom_of(pipeline, releases, artifacts.values(), digests, time_s, tool_version()), out, "The bill of materials")


def attest(
    context: typer.Context,
    key: Annotated[Path, typer.Option("--key", metavar="PEM", help="The private key: Ed25519 or ECDSA P-256.")],
    rollout: Annotated[
        str, typer.Option("--rollout", metavar="ID", help="One that was promoted; 'last' for the last.")
    ] = "last",
    out: OutOption = None,
) -> None:
    """Write a signed in-toto attestation of what a rollout promoted."""
    import json
    import os

    from rollcast.stacks.base.errors import StackError
    from rollcast.stacks.ledger.attestation import signed, statement_of
    from rollcast.stacks.ledger.records import verify as verify_chain
    from rollcast.stacks.ledger.rollouts import STARTED, load
    from rollcast.stacks.project import tool_version

    ledger = _ledger(project_of(context))
    records = ledger.records()
    verify_chain(records)
    started = [one for one in records if one.kind == STARTED and rollout in ("last", one.rollout)]
    if not started:
        raise StackError(f"The ledger knows no rollout '{rollout}'. 'rollcast history' lists them.")
    statement = statement_of(load(ledger, started[-1]), records, tool_version())
    envelope = signed(statement, key, os.environ.get("ROLLCAST_KEY_PASSWORD"))
    _give(json.dumps(envelope, indent=2), out, "The attestation")


def verify(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An attestation.")],
    key: Annotated[Path, typer.Option("--key", metavar="PEM", help="The public key of who may sign.")],
    ledger: Annotated[bool, typer.Option("--ledger", help="Also hold it against this project's ledger.")] = False,
) -> None:
    """Check who signed an attestation, and say what it attests."""
    import json

    from rollcast.planner.plan.models import SignatureFinding
    from rollcast.stacks.base.errors import StackError
    from rollcast.stacks.ledger.attestation import verified
    from rollcast.stacks.project import read_text

    try:
        envelope = json.loads(read_text(file, "Name a file of 'rollcast attest'.", saved=True))
    except ValueError:
        raise StackError(f"{file} is no JSON. Name a file of 'rollcast attest'.") from None
    predicate: dict[str, Any] = verified(envelope, key)["predicate"]
    if ledger:
        known = {record.hash for record in _ledger(project_of(context)).records()}
        if predicate["ledger"]["record"] not in known:
            raise StackError(f"{file} is signed, and this ledger does not hold its record. It is of another ledger.")
    releases = ", ".join(f"{line}: {name}" for line, name in predicate["to_release"].items())
    terminal.out(terminal.clean(f"{predicate['rollout']} promoted {releases} in {predicate['environment']}"))
    for part in predicate["artifacts"]:
        digest = part.get("pinned", {}).get("digest", part["recipe_digest"])
        by_name = " (by name, not by content)" if "by_name" in part else ""
        terminal.out(terminal.clean(f"  {part['slot']}: {part['artifact']} {digest[:19]}{by_name}"))
    for one in predicate.get("signatures", ()):  # 0.1.0 wrote none
        terminal.out(terminal.clean(f"  {SignatureFinding.model_validate(one)}"))
    for one in predicate["evaluations"]:
        terminal.out(terminal.clean(f"  evaluated on {one['suite']}: {one['cases']} cases"))
    terminal.out(f"  {len(predicate['gates'])} verdicts of gates, {len(predicate['orders'])} orders of people")


def _ledger(project: Project) -> Ledger:
    """The ledger that there is. Raises StackError where nothing was ever applied."""
    from rollcast.stacks.base.errors import StackError
    from rollcast.stacks.ledger.rollouts import existing_of

    found = existing_of(project)
    if found is None:
        raise StackError("There is no ledger yet: nothing was applied. Run 'rollcast apply' first.")
    return found


def _give(text: str, out: Path | None, what: str) -> None:
    if out is None:
        terminal.out(text)
        return
    files.write(out, text + "\n", what)
    terminal.note(f"{what} is in {out}.")


def register(app: typer.Typer) -> None:
    for command in (bom, attest, verify):
        app.command()(command)
