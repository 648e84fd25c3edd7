"""The audio front: from what a telephone or a browser sends to what the acoustic model hears, in pieces of one length.

How long the pieces are decides how soon a caller sees the first words: nothing is decoded before a piece is full.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 16_000
Samples = NDArray[np.int16]


@dataclass(frozen=True)
class Front:
    """Settings of one version: how many milliseconds are heard at a time."""

    chunk_ms: int

    def stream(self, codec: str) -> Stream:
        """The sound of one call. Raises ValueError for a codec that is not known."""
        if codec not in ("pcm16-16khz", "pcmu-8khz"):
            raise ValueError(f"the codec is {codec!r}, and pcm16-16khz and pcmu-8khz are known")
        return Stream(self.chunk_ms * RATE_HZ // 1000 * 2, codec == "pcmu-8khz")


class Stream:
    """Bytes of one call in, whole pieces of 16-bit samples at 16 kHz out. State: at most one piece."""

    def __init__(self, piece: int, telephone: bool) -> None:
        self._piece, self._telephone, self._held, self._odd, self._last = piece, telephone, b"", b"", 0

    def heard(self, data: bytes, last: bool = False) -> list[bytes]:
        """The pieces that are full now; with `last`, what is left as well."""
        if self._telephone:
            decoded = doubled(expanded(data), self._last)
            self._last = int(decoded[-1]) if decoded.size else self._last
            self._held += decoded.tobytes()
        else:
            whole = self._odd + data
            even = len(whole) // 2 * 2
            self._held, self._odd = self._held + whole[:even], whole[even:]
        ready = []
        while len(self._held) >= self._piece:
            ready.append(self._held[: self._piece])
            self._held = self._held[self._piece :]
        if last and self._held:
            ready.append(self._held)
            self._held = b""
        return ready


def expanded(data: bytes) -> Samples:
    """G.711 mu-law to 16-bit samples."""
    code = ~np.frombuffer(data, np.uint8)
    size = (((code & 0x0F).astype(np.int32) << 3) + 0x84 << ((code >> 4) & 7)) - 0x84
    return np.where(code & 0x80, -size, size).astype(np.int16)


def compressed(samples: Samples) -> bytes:
    """16-bit samples to G.711 mu-law."""
    size = np.minimum(np.abs(samples.astype(np.int32)), 32635) + 0x84
    exponent = np.floor(np.log2(size)).astype(np.int32) - 7
    code = np.where(samples < 0, 0x80, 0) | (exponent << 4) | ((size >> (exponent + 3)) & 0x0F)
    return (~code.astype(np.uint8)).tobytes()


def doubled(samples: Samples, before: int) -> Samples:
    """8 kHz to 16 kHz: between two samples stands their mean."""
    if not samples.size:
        return samples
    whole = samples.astype(np.int32)
    between = (np.concatenate(([before], whole[:-1])) + whole) // 2
    return np.stack((between, whole), axis=1).ravel().astype(np.int16)


def load(folder: Path) -> Front:
    """The front in `folder`. Raises OSError, ValueError or KeyError."""
    return Front(int(json.loads((folder / "front.json").read_text("utf-8"))["chunk_ms"]))
