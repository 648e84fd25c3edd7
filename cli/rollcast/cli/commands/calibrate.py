"""`rollcast calibrate`: performance profiles from recorded requests or from benchmark results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rollcast.cli import files, terminal

if TYPE_CHECKING:
    from rollcast.simulator.calibration.profiles import Calibration

Station = Literal["auto", "llm", "pool"]


def calibrate(
    telemetry: Annotated[
        list[Path],
        typer.Option("--telemetry", metavar="FILE", help="Recorded requests, spans, or benchmark results (.json)."),
    ],
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write the profile there, as YAML.")] = None,
    station: Annotated[Station, typer.Option("--station", help="Which kind of station to fit.")] = "auto",
    columns: Annotated[
        str | None, typer.Option("--columns", metavar="time=…,key=…", help="Which column holds what.")
    ] = None,
    max_sequences: Annotated[int, typer.Option("--max-sequences", metavar="N", help="As the server has it.")] = 256,
    max_batched_tokens: Annotated[int, typer.Option("--max-batched-tokens", metavar="N", help="Likewise.")] = 2048,
    kv_tokens: Annotated[int, typer.Option("--kv-tokens", metavar="N", help="Likewise.")] = 400_000,
    replicas: Annotated[int, typer.Option("--replicas", metavar="N", help="Servers behind the records.", min=1)] = 1,
    prefix_caching: Annotated[
        bool, typer.Option("--prefix-caching/--no-prefix-caching", help="Whether prompts share their prefixes' memory.")
    ] = False,
    whole_prompt: Annotated[
        bool, typer.Option("--whole-prompt/--first-chunk", help="What of a prompt must fit when it is admitted.")
    ] = False,
    balance: Annotated[
        Literal["requests", "waiting", "turns"],
        typer.Option("--balance", help="How replicas get requests."),
    ] = "requests",
    accelerator: Annotated[
        str | None,
        typer.Option("--accelerator", metavar="NAME", help="Hold what isn't determined by its figures, e.g. h100."),
    ] = None,
    parameters: Annotated[
        float | None, typer.Option("--parameters", metavar="N", help="That a token uses, with --accelerator: 8e9.")
    ] = None,
    tensor_parallel: Annotated[
        int, typer.Option("--tensor-parallel", metavar="N", help="Accelerators of a replica.", min=1)
    ] = 1,
    format_: Annotated[Literal["text", "json"], typer.Option("--format", help="How to write the result.")] = "text",
) -> None:
    """Fit the profile of a component to what was measured, and say how well it fits."""
    from rollcast.cli.commands.simulate import pairs
    from rollcast.simulator.base.errors import SimulatorError
    from rollcast.simulator.calibration.hardware import priors_of
    from rollcast.simulator.calibration.profiles import calibrated
    from rollcast.simulator.stations.profiles import LlmProfile, StepTime

    known = LlmProfile(
        step=StepTime(base_s=1e-3), max_sequences=max_sequences, max_batched_tokens=max_batched_tokens,
        kv_tokens=kv_tokens, prefix_caching=prefix_caching, whole_prompt=whole_prompt, balance=balance,
    )  # fmt: skip
    if (accelerator is None) != (parameters is None):
        raise SimulatorError("--accelerator and --parameters belong together. Give both, such as h100 and 8e9.")
    priors = priors_of(accelerator, parameters, tensor_parallel) if accelerator and parameters is not None else {}
    found = calibrated(telemetry, station, known, pairs(columns, "--columns"), replicas, priors)
    text = found.yaml()
    if out is not None:
        files.write(out, text)
    if format_ == "json":
        terminal.out_json(found.to_json())
        return
    terminal.out(text.rstrip())
    _say(found)


def _say(found: Calibration) -> None:
    terminal.note(f"Fitted to {found.measured}. Error of this profile on the second half:"
                  if found.held_out else f"Fitted to {found.measured}. Error of the fitted profile:")  # fmt: skip
    for name, error in found.errors.items():
        terminal.note(f"  {name:<40} {error:+7.1%}")
    for warning in found.warnings:
        terminal.note(f"Warning: {warning}")


def register(app: typer.Typer) -> None:
    app.command()(calibrate)
