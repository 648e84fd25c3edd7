"""Arrays as JSON text and back, bit for bit: zlib and base64."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt


def pack(array: npt.NDArray[Any]) -> dict[str, str]:
    """An array as text. Mostly empty arrays stay small."""
    raw = zlib.compress(np.ascontiguousarray(array).tobytes(), 1)
    return {"dtype": array.dtype.str, "zlib": base64.b64encode(raw).decode("ascii")}


def unpack(data: dict[str, str]) -> npt.NDArray[Any]:
    """The array of `pack`, writable."""
    return np.frombuffer(zlib.decompress(base64.b64decode(data["zlib"])), np.dtype(data["dtype"])).copy()
