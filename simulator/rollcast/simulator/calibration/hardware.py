"""What an accelerator's published figures say of a step, before anything is measured.

Reading the weights takes their bytes over the memory bandwidth, computing a token two floating-point operations for
each parameter (Kaplan and others 2020, https://arxiv.org/abs/2001.08361, section 2.1). What is attained of published
peaks is less: 70 to 100 % of the bandwidth and 40 to 90 % of the dense 16-bit rate, so each figure is known within a
factor, which `spread` is the logarithm of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rollcast.planner.base.errors import did_you_mean
from rollcast.simulator.base.errors import SimulatorError

_BYTES_PER_PARAMETER = 2  # bfloat16
_BANDWIDTH, _RATE = 0.85, 0.65  # of the peaks
_SPREAD = {"weights_s": 0.2, "token_s": 0.4}


@dataclass(frozen=True)
class Accelerator:
    """Peaks of one accelerator: bytes a second of its memory, dense bfloat16 operations a second, and who says so."""

    bytes_per_s: float
    flops_per_s: float
    source: str


@dataclass(frozen=True)
class CoefficientPrior:
    """A coefficient before it is fitted: its value, the standard deviation of its logarithm, where it is from."""

    value: float
    spread: float
    source: str


_NVIDIA = "https://www.nvidia.com/en-us/data-center"
ACCELERATORS: Mapping[str, Accelerator] = {
    "a100": Accelerator(2.039e12, 312e12, f"{_NVIDIA}/a100/"),
    "h100": Accelerator(3.35e12, 989e12, f"{_NVIDIA}/h100/"),
    "h200": Accelerator(4.8e12, 989e12, f"{_NVIDIA}/h200/"),
    "l4": Accelerator(300e9, 121e12, f"{_NVIDIA}/l4/"),
    "l40s": Accelerator(864e9, 362e12, f"{_NVIDIA}/l40s/"),
    "rtx4090": Accelerator(1.008e12, 165e12, "NVIDIA Ada GPU Architecture whitepaper, table 2"),
    "rtxpro6000": Accelerator(1.597e12, 504e12, f"{_NVIDIA}/rtx-pro-6000-blackwell-server-edition/"),
    "mi300x": Accelerator(5.3e12, 1307e12, "https://www.amd.com/en/products/accelerators/instinct/mi300/mi300x.html"),
}
"""SXM forms where there are several. Sparse figures of data sheets are halved."""


def priors_of(accelerator: str, parameters: float, tensor_parallel: int = 1) -> Mapping[str, CoefficientPrior]:
    """`weights_s` and `token_s` of a model. `parameters` are those that a token uses. Raises SimulatorError."""
    if accelerator not in ACCELERATORS:
        raise SimulatorError(f"No figures of an accelerator '{accelerator}'. {did_you_mean(accelerator, ACCELERATORS)}")
    if not parameters > 0:
        raise SimulatorError(f"A model of {parameters:g} parameters is not possible. Give their number, such as 8e9.")
    found = ACCELERATORS[accelerator]
    values = {
        "weights_s": parameters * _BYTES_PER_PARAMETER / (found.bytes_per_s * _BANDWIDTH * tensor_parallel),
        "token_s": 2 * parameters / (found.flops_per_s * _RATE * tensor_parallel),
    }
    return {name: CoefficientPrior(value, _SPREAD[name], found.source) for name, value in values.items()}
