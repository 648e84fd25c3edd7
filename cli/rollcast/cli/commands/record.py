"""`rollcast record`: production requests as a dataset, ready for replay and evaluation."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rollcast.cli import files, terminal
from rollcast.cli.inputs.options import project_of

if TYPE_CHECKING:
    from rollcast.planner.declaration.models import Declaration


def record(
    context: typer.Context,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="JSON lines, one request each.")],
    attribute: Annotated[
        list[str] | None,
        typer.Option(
            "--attribute", metavar="NAME", help="Keep this attribute; else those that audiences and routes use."
        ),
    ] = None,
    per_segment: Annotated[
        int | None, typer.Option("--per-segment", metavar="N", help="The most requests of each segment.", min=1)
    ] = None,
    segment: Annotated[str, typer.Option("--segment", metavar="NAME", help="The attribute that names it.")] = "segment",
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="ISO 8601, or seconds since 1970.")
    ] = None,
    texts: Annotated[
        bool, typer.Option("--texts", help="Keep the texts that the environment's 'recording' allows, redacted.")
    ] = False,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="s3://BUCKET/KEY", help="Put it there, too, as a new version."),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="ISO 8601, or seconds since 1970.")
    ] = None,
) -> None:
    """Write a sample of production telemetry as a replay file: keys hashed, no texts but those that are allowed."""
    from functools import partial

    from rollcast.cli.inputs.times import seconds_of
    from rollcast.stacks.base.errors import StackError
    from rollcast.stacks.telemetry import source_of
    from rollcast.stacks.telemetry.recording import record_requests
    from rollcast.stacks.telemetry.redaction import redacted

    project = project_of(context)
    allowed = project.environment.recording if texts else None
    if texts and allowed is None:
        raise StackError(
            f"Environment '{project.environment_name}' allows no texts to be recorded. Declare them with what redacts "
            "them, 'recording: {texts: [question], redact: redaction.py:redact}', or record without --texts."
        )
    kept = {*attribute} if attribute is not None else {*_used(project.declaration), segment}
    rows = record_requests(
        source_of(project.environment.telemetry, project.folder),
        attributes=kept,
        segment=segment,
        per_segment=per_segment,
        since_s=seconds_of(since) if since is not None else 0.0,
        until_s=seconds_of(until) if until is not None else float("inf"),
        secret=os.environ.get("ROLLCAST_RECORD_SECRET", ""),
        redact=partial(redacted, recording=allowed, project=project.folder) if allowed is not None else None,
    )
    files.write(out, "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows), "The recording", private=True)
    users = len({row["key"] for row in rows if row["key"]})
    terminal.out(f"{out}: {len(rows)} requests of {users} users, with {', '.join(sorted(kept)) or 'no attribute'}.")
    source = f"file:{out}" if to is None else _published(out, to)
    terminal.out("As a dataset, give it a version in the declaration:")
    terminal.out(f'  - {{kind: dataset, name: production, version: "…", source: "{terminal.clean(source)}"}}')


def _published(out: Path, to: str) -> str:
    from rollcast.stacks.base.errors import StackError

    try:
        from rollcast.stacks.registries.s3_upload import upload
    except ImportError as error:
        raise StackError(f"'{error.name}' is not installed. In a clone of rollcast: pip install '.[s3]'.") from None
    return upload(out, to)


def _used(declaration: Declaration) -> set[str]:
    """The attributes that audiences and routes ask for."""
    from rollcast.planner.base.audiences import attributes_of

    rules = [audience.rule for audience in declaration.audiences.values()]
    for pipeline in declaration.each_pipeline().values():
        rules += [channel.route.rule for channel in pipeline.channels.values()]
    return {name for rule in rules for name in attributes_of(rule)}


def register(app: typer.Typer) -> None:
    app.command()(record)
