"""LLM serving on measured GPUs: fitted to the first half of a recording, forecast the second.

The recordings are vLLM's times of 300 requests each, measured and published by the authors of LLMServingSim (see
tests/simulator/data/README.md); beside rollcast's errors stand those that they publish of their own simulator, which is
given a profile of every kernel and is judged on the whole recording.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rollcast.simulator.calibration.hardware import priors_of
from rollcast.simulator.calibration.profiles import Calibration, calibrated
from rollcast.simulator.stations.profiles import LlmProfile, StepTime

DATA = Path(__file__).parents[1] / "tests" / "simulator" / "data" / "vllm"
OF = ("time to first token", "time per output token", "latency")
_OPEN = re.compile(r"^(?:the latencies hardly move with )?(\w+_s)\b(?=:| can't be)")
FIGURES = ("mean", "p50", "p90", "p95", "p99")
_FAILS = 0.08  # an error that needs a reason


@dataclass(frozen=True)
class Machine:
    """A recording's server as it was configured, and LLMServingSim's errors in percent: by metric, as FIGURES."""

    title: str
    accelerator: str
    parameters: float  # that a token uses
    tensor_parallel: int
    replicas: int
    max_sequences: int
    kv_tokens: int
    peer: Mapping[str, tuple[float, ...]]
    reason: str = ""  # why it fails, where it does


MACHINES: Mapping[str, Machine] = {
    "rtxpro6000-llama-3.1-8b": Machine(
        "Llama-3.1-8B, RTX PRO 6000", "rtxpro6000", 8.03e9, 1, 1, 128, 530_000,
        {"time to first token": (-4.0, -8.6, -4.4, -2.4, -2.0), "latency": (-1.8, -1.2, -1.8, -1.3, -1.6)},
    ),
    "rtx4090-llama-3.1-8b": Machine(
        "Llama-3.1-8B, RTX 4090, memory for 41,408 tokens", "rtx4090", 8.03e9, 1, 1, 256, 41_408,
        {"time to first token": (0.6, 0.8, 0.6, 0.6, 0.3), "time per output token": (0.2, 0.2, 0.2, 0.2, 0.9),
         "latency": (0.5, 0.9, 0.2, 0.3, 0.4)},
    ),
    "rtxpro6000-qwen3-32b-tp2": Machine(
        "Qwen3-32B, two RTX PRO 6000, tensor parallel", "rtxpro6000", 32.8e9, 2, 1, 128, 400_000,
        {"time to first token": (1.3, 1.7, 0.9, 1.0, 0.9), "latency": (1.0, 0.9, 0.8, 0.9, 1.3)},
    ),
    "rtxpro6000-qwen3-30b-a3b-dp2": Machine(
        "Qwen3-30B-A3B, two RTX PRO 6000, data and expert parallel", "rtxpro6000", 3.3e9, 1, 2, 128, 500_000,
        {"time to first token": (-13.6, -21.8, -10.9, -10.5, -1.0),
         "time per output token": (-1.7, -1.6, -0.8, -0.8, -0.5), "latency": (-2.2, -2.0, -1.8, -1.8, -1.8)},
        "Its two replicas step together and a batch reads the weights of the experts that it uses: `step` has one "
        "time for weights, and replicas that know nothing of each other.",
    ),
}  # fmt: skip


def calibration(name: str) -> Calibration:
    """The profile of the first half of a recording, with its errors on the second."""
    machine = MACHINES[name]
    known = LlmProfile(
        step=StepTime(base_s=1e-3), max_sequences=machine.max_sequences, kv_tokens=machine.kv_tokens,
        prefix_caching=True, whole_prompt=True, balance="waiting" if machine.replicas > 1 else "requests",
    )  # fmt: skip
    mixture = machine.replicas > 1  # its weights are not those that a token uses
    priors = {} if mixture else priors_of(machine.accelerator, machine.parameters, machine.tensor_parallel)
    return calibrated([DATA / f"{name}.jsonl"], "llm", known, None, machine.replicas, priors)


def section(scale: float) -> str:
    """Serving on GPUs, as a section of the validation page. `scale` changes nothing: it takes a minute."""
    del scale
    lines = [
        "## LLM serving on measured GPUs",
        "",
        "vLLM 0.19.0 answering 300 ShareGPT prompts at 10 requests a second, prefix caching on, as measured by the",
        "authors of LLMServingSim. An `llm` profile is fitted to the first half of each recording and forecasts the",
        "second, served after the first; it has the limits of the server, the accelerator and, but for the mixture",
        "of experts, the number of parameters. In each cell the error on that half, and in brackets LLMServingSim's",
        "published error on the whole recording, from a profile of every kernel. The aims are 3 % end to end",
        "(`latency`) and 8 % to the first token, in the median of all figures. The weights of the fit's own loss",
        "were chosen with these recordings in view; key-value memory that a recording does not state is estimated,",
        "and it is short on the RTX 4090 alone, where it is stated.",
        "",
        f"| server | of | {' | '.join(FIGURES)} |",
        f"|---|---|{'---:|' * len(FIGURES)}",
    ]
    found = {name: calibration(name) for name in MACHINES}
    for name, machine in MACHINES.items():
        lines += [
            " | ".join((f"| {machine.title}", of, *(_cell(found[name], machine, of, i) for i in range(len(FIGURES)))))
            + " |"
            for of in OF
        ]
    ours, theirs = _median(found), _medians_of_peer()
    lines += [
        "",
        f"Median of the absolute errors: {ours['latency']:.1%} end to end and {ours['time to first token']:.1%} to the",
        f"first token (LLMServingSim {theirs['latency']:.1f} % and {theirs['time to first token']:.1f} %). What the",
        "first halves leave open, so that what was believed before holds it:",
        "",
    ]
    for name, machine in MACHINES.items():
        said = [coefficient for note in found[name].warnings for coefficient in _OPEN.findall(note)]
        lines += [f"- {machine.title}: {', '.join(said) if said else 'nothing'}."]
        if machine.reason and _worst(found[name]) > _FAILS:
            lines += [f"  {machine.reason}"]
    return "\n".join(lines)


def _worst(found: Calibration) -> float:
    return max(abs(error) for name, error in found.errors.items() if not name.startswith("time per output"))


def _cell(found: Calibration, machine: Machine, of: str, place: int) -> str:
    peer = machine.peer.get(of)
    ours = f"{found.errors[f'{of} {FIGURES[place]}']:+.1%}"
    return ours if peer is None else f"{ours} ({peer[place]:+.1f}%)"


def _median(found: Mapping[str, Calibration]) -> dict[str, float]:
    return {
        of: statistics.median(abs(each.errors[f"{of} {figure}"]) for each in found.values() for figure in FIGURES)
        for of in OF
    }


def _medians_of_peer() -> dict[str, float]:
    return {of: statistics.median(abs(x) for m in MACHINES.values() for x in m.peer.get(of, ())) for of in OF}
