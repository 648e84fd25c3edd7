"""Archives become folders, and nothing else: no path out of the folder, no link, no device, no bomb."""

from __future__ import annotations

import contextlib
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import zstandard

from rollcast.stacks.base.errors import StackError
from rollcast.stacks.registries.limits import readable
from rollcast.stacks.registries.transfer import CHUNK, Transfer

_FREE = 64 * 1024 * 1024  # bytes that may be unpacked from however little
_ZSTD, _ZSTD_WINDOW = b"\x28\xb5\x2f\xfd", 128 * 1024 * 1024  # how a file begins; bytes that it may make us hold
_BROKEN = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, zstandard.ZstdError, EOFError, OSError, NotImplementedError,
    RuntimeError,
)  # fmt: skip


def unpack(archive: Path, into: Path, transfer: Transfer) -> None:
    """All files of a tar (gzip, bzip2, xz, zstd) or zip archive below a folder. StackError says what is refused."""
    most = max(_FREE, archive.stat().st_size * transfer.limits.expansion)
    guard = _Guard(transfer, most)
    try:
        if zipfile.is_zipfile(archive):
            _unzip(archive, into, guard)
        else:
            with _plain(archive) as file, tarfile.open(fileobj=file, mode="r|*") as opened:
                for member in opened:
                    _one_of_tar(opened, member, into, guard)
    except _BROKEN as error:
        raise StackError(
            f"{transfer.what}: {archive.name} is no archive that can be read ({error}). Make it again."
        ) from None


@contextlib.contextmanager
def _plain(archive: Path) -> Iterator[IO[bytes]]:
    """A file as `tarfile` reads it, which knows all of these compressions but zstd."""
    with archive.open("rb") as file:
        packed = file.read(len(_ZSTD)) == _ZSTD
        file.seek(0)
        if not packed:
            yield file
            return
        reading = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
        with reading.stream_reader(file, read_across_frames=True) as unpacked:
            yield unpacked


class _Guard:
    """Counts what comes out of one archive."""

    def __init__(self, transfer: Transfer, most: int) -> None:
        self.transfer, self._most, self._bytes = transfer, most, 0

    def write(self, source: IO[bytes], path: Path) -> None:
        with path.open("wb") as file:
            for chunk in _chunks(source):
                self._bytes += len(chunk)
                if self._bytes > self._most:
                    raise StackError(
                        f"{self.transfer.what}: its archive unpacks to more than {readable(self._most)}, "
                        f"{self.transfer.limits.expansion} times its size. Set ROLLCAST_MAX_EXPANSION if that is meant."
                    )
                self.transfer.room_for_unpacked(len(chunk))
                file.write(chunk)

    def refuse(self, name: str, what: str) -> StackError:
        return StackError(f"{self.transfer.what}: '{name}' in its archive is {what}. Put the content itself there.")


def _chunks(source: IO[bytes]) -> Iterator[bytes]:
    while chunk := source.read(CHUNK):
        yield chunk


def _one_of_tar(opened: tarfile.TarFile, member: tarfile.TarInfo, into: Path, guard: _Guard) -> None:
    name = member.name
    if member.issym() or member.islnk():
        raise guard.refuse(name, f"a link to {member.linkname}, and what is behind one may change unnoticed")
    if member.isdir():
        return
    if not member.isfile():
        raise guard.refuse(name, "no file and no folder")
    source = opened.extractfile(member)
    assert source is not None
    with source:
        guard.write(source, guard.transfer.place_for(into, name.removeprefix("./")))


def _unzip(archive: Path, into: Path, guard: _Guard) -> None:
    with zipfile.ZipFile(archive) as opened:
        for member in opened.infolist():
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind == stat.S_IFLNK:
                raise guard.refuse(member.filename, "a link, and what is behind one may change unnoticed")
            if member.is_dir():
                continue
            with opened.open(member) as source:
                guard.write(source, guard.transfer.place_for(into, member.filename))


__all__ = ["unpack"]
