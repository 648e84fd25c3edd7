"""LLM serving against a high-fidelity peer: fitted to one half hour, forecast the other, and another workload.

The peer is BLIS (inference-sim), a published simulator of vLLM; its latencies stand in for measurements of a GPU (see
tests/simulator/data/README.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from rollcast.simulator.base.draws import Floats
from rollcast.simulator.calibration.alone import Served, serve_alone
from rollcast.simulator.calibration.fit_llm import fit_llm
from rollcast.simulator.calibration.measured import QUANTILES, Measured, quantile_errors
from rollcast.simulator.traffic.formats import Rows
from rollcast.simulator.traffic.recording import read_traffic, traffic_of

ROOT = Path(__file__).parents[1]
DATA = ROOT / "tests" / "simulator" / "data"
TRACE = ROOT / "examples" / "rag-search" / "traffic" / "AzureLLMInferenceTrace_conv.csv"


def _errors(served: Served, first: Floats, latency: Floats) -> Mapping[str, float]:
    return quantile_errors("end to end", served.latency_s, latency) | quantile_errors(
        "time to first token", served.first_token_s, first
    )


def errors() -> dict[str, Mapping[str, float]]:
    """Relative errors of quantiles, by what was forecast."""
    traffic = read_traffic(TRACE)
    measured = np.genfromtxt(DATA / "azure_conv_reference_latency.csv", delimiter=",", names=True)
    first_half = traffic.between(0.0, traffic.span_s / 2)
    second_half = traffic.between(traffic.span_s / 2, float("inf"))
    n = len(first_half)
    profile = fit_llm([Measured.of(first_half, measured["ttft_s"][:n], measured["e2e_s"][:n])]).profile
    other = np.genfromtxt(DATA / "long_prompts_reference_latency.csv", delimiter=",", names=True)
    tokens = [other[name].astype(np.int64) for name in ("input_tokens", "output_tokens")]
    long = traffic_of(Rows(other["arrival_s"], tokens[0], tokens[1]), "long prompts")
    return {
        "second half of the Azure hour": _errors(
            serve_alone(profile, second_half), measured["ttft_s"][n:], measured["e2e_s"][n:]
        ),
        "long prompts, short answers, a busy machine": _errors(
            serve_alone(profile, long), other["ttft_s"], other["e2e_s"]
        ),
    }


def section(scale: float) -> str:
    """Serving against the peer, as a section of the validation page. `scale` changes nothing: it takes seconds."""
    del scale
    head = " | ".join(f"p{q * 100:g}" for q in QUANTILES)
    lines = [
        "## LLM serving against a high-fidelity simulator",
        "",
        "An `llm` profile is fitted to the first half of the Azure hour as BLIS serves it, and forecasts what it has",
        "not seen. Errors of quantiles; the aims are 3 % end to end and 5 % to the first token.",
        "",
        f"| forecast | of | {head} |",
        f"|---|---|{'---:|' * len(QUANTILES)}",
    ]
    for what, found in errors().items():
        for of in ("end to end", "time to first token"):
            row = " | ".join(f"{found[f'{of} p{q * 100:g}']:+.2%}" for q in QUANTILES)
            lines.append(f"| {what} | {of} | {row} |")
    return "\n".join(lines)
