"""A wall clock of the test's own, for the processes that are given its environment; their monotonic clock runs on."""

from __future__ import annotations

import mmap
import struct
import subprocess
from pathlib import Path


class MachineClock:
    """What the processes of a site take for the machine's clock: the real one and an offset, in seconds."""

    def __init__(self, folder: Path) -> None:
        library, file = folder / "jumping_clock.so", folder / "offset"
        source = Path(__file__).with_name("jumping_clock.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-Wall", "-o", library, source], check=True)
        file.write_bytes(struct.pack("l", 0))
        with file.open("r+b") as opened:
            self.mapped = mmap.mmap(opened.fileno(), 0)
        self.offset_s = 0
        self.environment = {"LD_PRELOAD": str(library), "CLOCK_OFFSET": str(file)}

    def jump(self, by_s: int) -> None:
        self.offset_s += by_s
        self.mapped[:] = struct.pack("l", self.offset_s)
