"""From files of measurements to a profile, with its goodness of fit and the range in which it was measured.

Recorded requests are fitted twice: on the first half, whose profile then forecasts the second half (that error is what
is reported), and on all of them (that profile is what is given).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, Literal, assert_never, get_args

import numpy as np

from rollcast.simulator.base.draws import Floats
from rollcast.simulator.base.errors import SimulatorError
from rollcast.simulator.calibration.alone import serve_alone
from rollcast.simulator.calibration.fit_llm import fit_llm, quantile_errors
from rollcast.simulator.calibration.fit_pool import fit_pool
from rollcast.simulator.calibration.results import fit_benchmarks, is_result, read_point
from rollcast.simulator.stations.profiles import LlmProfile, Profile
from rollcast.simulator.traffic.formats import Columns, Rows, read_rows
from rollcast.simulator.traffic.recording import Traffic, traffic_of

Fitted = Literal["llm", "pool"]
Station = Literal["auto", Fitted]
_POOR = 0.1


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
    paths: Sequence[Path], station: Station, known: LlmProfile, columns: Mapping[str, str] | None, replicas: int
) -> Calibration:
    """The profile that files of measurements describe. Raises SimulatorError."""
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
    rows = [read_rows(path, mapping) for path in paths]
    if len(rows) != 1:
        raise SimulatorError("Recorded requests are fitted from one file at a time. Join them, or give one.")
    return _recorded(rows[0], paths[0].name, station, known, replicas)


def _recorded(rows: Rows, source: str, station: Station, known: LlmProfile, replicas: int) -> Calibration:
    if rows.latency_s is None:
        raise SimulatorError(
            f"{source} has no latencies, so there is nothing to fit to. Give telemetry (latency_s, ttft_s), spans, or "
            "the result files of a benchmark."
        )
    order = np.argsort(rows.arrival_s, kind="stable")
    traffic, latency = traffic_of(rows, source), rows.latency_s[order]
    first = rows.first_token_s[order] if rows.first_token_s is not None else np.full(len(traffic), np.nan)
    streamed = bool(np.isfinite(first).mean() > 0.5 and np.nanmedian(first / np.maximum(latency, 1e-9)) < 0.9)
    kind: Fitted = ("llm" if streamed else "pool") if station == "auto" else station
    if len(traffic) < 4:
        raise SimulatorError(f"{source} holds {len(traffic)} requests, too few to fit anything to. Record more.")
    middle = float(traffic.arrival_s[len(traffic) // 2])
    cut = int(np.searchsorted(traffic.arrival_s, middle))
    before, after = traffic.between(0.0, middle), traffic.between(middle, float("inf"))
    half, _ = _fit(kind, before, first[:cut], latency[:cut], known, replicas)
    served = serve_alone(half, after, replicas=replicas, seed=1)
    errors = quantile_errors("latency", served.latency_s, latency[cut:])
    if kind == "llm":
        errors |= quantile_errors("time to first token", served.first_token_s, first[cut:])
    whole, ranges = _fit(kind, traffic, first, latency, known, replicas)
    poor = [f"{name} is off by {error:+.0%} on requests it has not seen" for name, error in errors.items()
            if abs(error) > _POOR]  # fmt: skip
    said = f"it was measured with {ranges}: outside of that it is extrapolated"
    return Calibration(whole, errors, f"{len(traffic):,} requests of {source}", True, (said, *poor))


def _fit(
    kind: Fitted, traffic: Traffic, first: Floats, latency: Floats, known: LlmProfile, replicas: int
) -> tuple[Profile, str]:
    rate = f"{len(traffic) / traffic.span_s:.3g} requests a second"
    match kind:
        case "pool":
            return fit_pool(traffic, latency).profile, rate
        case "llm":
            fit = fit_llm(traffic, first, latency, known=known, replicas=replicas)
            (low, high), (short, long) = fit.input_tokens, fit.output_tokens
            return fit.profile, f"{low} to {high} input tokens, {short} to {long} output tokens, {rate}"
        case _:
            assert_never(kind)
