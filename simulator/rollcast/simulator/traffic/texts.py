"""Text files as people keep them: plain, gzip or zstd, UTF-8 or UTF-16, with a byte order mark or without."""

from __future__ import annotations

import codecs
import gzip
import io
import tempfile
from pathlib import Path
from typing import BinaryIO, TextIO, cast

import zstandard

_CHUNK = 1 << 20
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


def text_of(path: Path, head: bytes) -> TextIO:
    """A file's text, unpacked by its first bytes, a byte order mark at its beginning left out.

    UTF-16 is read where its mark says so; all other text is UTF-8.
    """
    binary: BinaryIO
    if head.startswith(_GZIP):
        binary = cast(BinaryIO, gzip.open(path, "rb"))  # noqa: SIM115 - whoever reads the text closes it
    elif head.startswith(_ZSTD):
        binary = _unpacked(path)
    else:
        binary = path.open("rb")
    mark = binary.read(2)
    binary.seek(0)
    encoding = "utf-16" if mark in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
    return io.TextIOWrapper(binary, encoding, newline="")


def _unpacked(path: Path) -> BinaryIO:
    """What a zstd file holds, in a temporary file: its stream can't be read twice. Raises ZstdError for half a one."""
    plain = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 - closed with the text
    with path.open("rb") as packed:
        frame = zstandard.ZstdDecompressor().decompressobj()
        while chunk := packed.read(_CHUNK):
            while chunk:
                if frame.eof:
                    frame = zstandard.ZstdDecompressor().decompressobj()
                plain.write(frame.decompress(chunk))
                chunk = frame.unused_data if frame.eof else b""
    if not frame.eof:
        raise zstandard.ZstdError("the last frame is not whole")
    plain.seek(0)
    return plain
