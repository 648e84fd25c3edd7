"""From files of measurements to a profile, with its goodness of fit and the range in which it was measured.

A profile is fitted to the first half of each recording, and forecasts the second half: its error there is what is
reported, and that very profile is what is given. The second half is served after the first, so it finds the server in
the state that the first has left. Requests that failed are served, as they were load, but never fitted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from rollcast.simulator.base.errors import SimulatorError
from rollcast.simulator.calibration.alone import serve_alone
from rollcast.simulator.calibration.fit_llm import fit_llm
from rollcast.simulator.calibration.fit_pool import fit_pool
from rollcast.simulator.calibration.hardware import CoefficientPrior
from rollcast.simulator.calibration.measured import Measured, quantile_errors
from rollcast.simulator.calibration.results import MOST_FAILED, fit_benchmarks, is_result, read_point
from rollcast.simulator.stations.profiles import LlmProfile, Profile
from rollcast.simulator.traffic.formats import Columns, Rows, read_rows
from rollcast.simulator.traffic.recording import Traffic, traffic_of

Fitted = Literal["llm", "pool"]
Station = Literal["auto", Fitted]
_POOR = 0.1
_WHOLE = 0.9  # a first token that takes this share of the latency is a whole answer


@dataclass(frozen=True)
class Calibration:
    """A fitted profile. `errors` are relative, by what they are errors of; `held_out` when of unseen requests."""

    profile: Profile
    errors: Mapping[str, float]
    measured: str
    held_out: bool
    warnings: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """The profile as an artifact's `profile` holds it, without what is as by default."""
        data: dict[str, Any] = self.profile.model_dump(mode="json", exclude_defaults=True)
        return {"station": self.profile.station, **data}

    def yaml(self) -> str:
        """The profile as YAML, to be put into an artifact."""
        from ruamel.yaml import YAML

        text = StringIO()
        YAML(typ="safe").dump({"profile": self.plain()}, text)
        return f"# fitted by rollcast calibrate to {self.measured}\n{text.getvalue()}"

    def to_json(self) -> dict[str, Any]:
        return {
            "format_version": "1.0", "profile": self.plain(), "errors": dict(self.errors), "held_out": self.held_out,
            "measured": self.measured, "warnings": list(self.warnings),
        }  # fmt: skip


def calibrated(
    paths: Sequence[Path], station: Station, known: LlmProfile, columns: Mapping[str, str] | None, replicas: int,
    priors: Mapping[str, CoefficientPrior] | None = None,
) -> Calibration:  # fmt: skip
    """The profile that files of measurements describe. `priors` of coefficients hold what they don't determine.

    Raises SimulatorError.
    """
    priors = priors or {}
    if station not in get_args(Station):
        raise SimulatorError(f"No station '{station}' can be fitted. Choose {', '.join(get_args(Station))}.")
    results = [path for path in paths if is_result(path)]
    if results and len(results) < len(paths):
        raise SimulatorError("Benchmark results and recorded requests can't be fitted together. Give one kind.")
    if results:
        fit = fit_benchmarks([read_point(path) for path in results], known)
        low, high = fit.concurrency
        said = f"concurrency was {low:g} to {high:g}: beyond that the profile is extrapolated"
        return Calibration(fit.profile, fit.errors, f"{len(results)} benchmark results", False, (said,))
    mapping = Columns.of(columns) if columns else None
    read = [(path.name, read_rows(path, mapping)) for path in paths]
    if not read:
        raise SimulatorError("Nothing is given to fit to. Name recorded requests, or result files of benchmarks.")
    recordings = [_measured(rows, source) for source, rows in read]
    kind: Fitted = ("llm" if all(map(_streamed, recordings)) else "pool") if station == "auto" else station
    if kind == "pool" and len(recordings) != 1:
        raise SimulatorError("A pool is fitted from one file at a time. Join them, or give one.")
    source = ", ".join(name for name, _ in read)
    count = sum(len(each.traffic) for each in recordings)
    profile, errors, notes = _pool(recordings[0]) if kind == "pool" else _llm(recordings, read, known, replicas, priors)
    poor = [f"{name} is off by {error:+.0%} on requests it has not seen" for name, error in errors.items()
            if abs(error) > _POOR]  # fmt: skip
    return Calibration(profile, errors, f"the first half of {count:,} requests of {source}", True, (*notes, *poor))


def _measured(rows: Rows, source: str) -> Measured:
    if rows.latency_s is None:
        raise SimulatorError(
            f"{source} has no latencies, so there is nothing to fit to. Give telemetry (latency_s, ttft_s), spans, "
            "the result files of a benchmark, or name the column with --columns latency=NAME."
        )
    count, failed = len(rows.arrival_s), int((~np.isfinite(rows.latency_s)).sum())
    if count < 4:
        raise SimulatorError(f"{source} holds {count} requests, too few to fit anything to. Record more.")
    if failed > MOST_FAILED * count:
        raise SimulatorError(
            f"{source}: {failed:,} of {count:,} requests failed, the first at {rows.first_failed}, so it measured "
            "another load than it was given. Record again at a load that the server can serve."
        )
    order = np.argsort(rows.arrival_s, kind="stable")
    first = rows.first_token_s[order] if rows.first_token_s is not None else np.full(count, np.nan)
    return Measured.of(traffic_of(rows, source), first, rows.latency_s[order])


def _streamed(each: Measured) -> bool:
    """Whether first tokens are known and come before the last ones."""
    known = np.isfinite(each.first_token_s) & np.isfinite(each.latency_s)
    if known.sum() <= len(known) / 2:
        return False
    return bool(np.median(each.first_token_s[known] / np.maximum(each.latency_s[known], 1e-9)) < _WHOLE)


def _pool(recording: Measured) -> tuple[Profile, Mapping[str, float], tuple[str, ...]]:
    """A pool of the first half, and its errors on the second."""
    traffic, latency = recording.traffic, recording.latency_s
    served = np.isfinite(latency)
    if not served.all():
        raise SimulatorError(
            f"{traffic.source}: {int((~served).sum()):,} requests failed, and a pool is fitted to answers alone. "
            "Leave them out of the file."
        )
    middle = float(traffic.arrival_s[len(traffic) // 2])
    cut = int(np.searchsorted(traffic.arrival_s, middle))
    profile = fit_pool(traffic.between(0.0, middle), latency[:cut]).profile
    found = serve_alone(profile, traffic, seed=1).latency_s[cut:]
    return profile, quantile_errors("latency", found, latency[cut:]), (_measured_with(_rate(traffic)),)


def _llm(
    recordings: Sequence[Measured], read: Sequence[tuple[str, Rows]], known: LlmProfile, replicas: int,
    priors: Mapping[str, CoefficientPrior],
) -> tuple[Profile, Mapping[str, float], tuple[str, ...]]:  # fmt: skip
    """An llm of the first halves, and its errors on the second ones, by file where there are several."""
    for (source, _), each in zip(read, recordings, strict=True):
        bare = int(((each.traffic.input_tokens == 0) | (each.traffic.output_tokens == 0))[each.fitted].sum())
        if bare > MOST_FAILED * len(each.traffic):
            raise SimulatorError(
                f"{source}: {bare:,} of {len(each.traffic):,} requests have no numbers of tokens, and an llm is fitted "
                "to them. Name their columns with --columns input_tokens=…,output_tokens=…, or fit --station pool."
            )
    halves = [each.halves() for each in recordings]
    fit = fit_llm([first for first, _ in halves], known=known, replicas=replicas, priors=priors)
    errors: dict[str, float] = {}
    for (source, _), (_, second) in zip(read, halves, strict=True):
        found = second.errors(second.serve(fit.profile, replicas))
        errors |= {f"{source}: {name}" if len(read) > 1 else name: error for name, error in found.items()}
    (low, high), (short, long), (slow, fast) = fit.input_tokens, fit.output_tokens, fit.rate_per_s
    rate = f"{slow:.3g} requests a second" if len(read) == 1 else f"{slow:.3g} to {fast:.3g} requests a second"
    ranges = f"{low} to {high} input tokens, {short} to {long} output tokens, {rate}"
    return fit.profile, errors, (_measured_with(ranges), *fit.undetermined)


def _measured_with(ranges: str) -> str:
    return f"it was measured with {ranges}: outside of that it is extrapolated"


def _rate(traffic: Traffic) -> str:
    return f"{len(traffic) / traffic.span_s:.3g} requests a second"
