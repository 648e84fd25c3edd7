"""The Pulumi engine at the pinned version: found, else downloaded by a digest, else built as a Go module.

Nothing that was downloaded is run on trust: the archive is the one whose SHA-256 `ROLLCAST_ENGINE_SHA256` gives (it is
never fetched without), and what is built from modules is what `go.sum` pins.
The engine is kept where the Automation API looks by itself: `~/.pulumi/versions/<version>/bin/pulumi`. Building takes
some minutes once; the result is moved into place whole, and callers that come at the same time wait for each other.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from rollcast.stacks.base.errors import EngineError

VERSION = "3.250.0"
_MODULE = Path(__file__).parent
_LDFLAGS = f"-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v{VERSION}"
_ARCHIVE = f"https://get.pulumi.com/releases/sdk/pulumi-v{VERSION}-linux-x64.tar.gz"
_CHECKSUM = "ROLLCAST_ENGINE_SHA256"
_PACKAGE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
Progress = Callable[[str], None]


def home() -> Path:
    """Where the engine of the pinned version lives."""
    return Path.home() / ".pulumi" / "versions" / VERSION


def version_of(binary: Path) -> str | None:
    """The version that a pulumi binary gives; None when it can't be run. The same file is run once."""
    try:
        found = binary.stat()
    except OSError:
        return None
    return _version_of(binary, (found.st_mtime_ns, found.st_size))


@functools.cache
def _version_of(binary: Path, _state: tuple[int, int]) -> str | None:
    try:
        done = subprocess.run([str(binary), "version"], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip().removeprefix("v")


def find() -> Path | None:
    """The engine, where it is there already: the own folder first, then PATH at the same minor version."""
    own = home() / "bin" / "pulumi"
    if own.is_file() and version_of(own) == VERSION:
        return own
    other = shutil.which("pulumi")
    if other and (version_of(Path(other)) or "").split(".")[:2] == VERSION.split(".")[:2]:
        return Path(other)
    return None


def require() -> Path:
    """The engine. Raises EngineError with the remedy when it isn't there."""
    found = find()
    if found is None:
        raise EngineError(f"The Pulumi engine {VERSION} isn't installed. Run 'rollcast engine install'.")
    return found


def ensure(progress: Progress) -> Path:
    """The engine, installed when it is absent. Raises EngineError."""
    found = find()
    if found is not None:
        return found
    home().mkdir(parents=True, exist_ok=True)
    progress("waiting for another installation to end, if there is one")
    with FileLock(home() / ".lock"):
        found = find()
        if found is None:
            _download(progress)
            found = find()
        if found is None:
            _build(progress)
            found = find()
    if found is None:
        raise EngineError(f"The engine was built and does not report version {VERSION}. Remove {home()} and run again.")
    return found


def _download(progress: Progress) -> None:
    """The official archive, where its digest is known. Raises EngineError: what came is something else."""
    wanted, curl = os.environ.get(_CHECKSUM, "").strip().lower().removeprefix("sha256:"), shutil.which("curl")
    if not wanted or curl is None:
        return
    progress(f"fetching {_ARCHIVE}")
    with tempfile.TemporaryDirectory(dir=home()) as scratch:
        archive = Path(scratch) / "pulumi.tar.gz"
        fetch = [curl, "-fsSL", "--connect-timeout", "8", "--max-time", "300", "-o", str(archive), _ARCHIVE]
        if os.uname().machine != "x86_64" or subprocess.run(fetch, capture_output=True, check=False).returncode:
            progress("the download can't be reached from here")
            return
        with archive.open("rb") as content:
            found = hashlib.file_digest(content, "sha256").hexdigest()
        if found != wanted:
            raise EngineError(
                f"{_ARCHIVE} has the SHA-256 {found}, and {_CHECKSUM} says {wanted}. Nothing was installed: see the "
                "checksums of Pulumi's release, or unset it to build the engine as a Go module."
            )
        shutil.unpack_archive(archive, scratch, filter="data")
        _place(Path(scratch) / "pulumi" / "pulumi")


def _build(progress: Progress) -> None:
    go = shutil.which("go")
    if go is None:
        raise EngineError(
            f"The engine {VERSION} can't be built: Go isn't installed. Install Go, put pulumi {VERSION} on PATH, or "
            f"give the SHA-256 of its archive in {_CHECKSUM} to download it, and run 'rollcast engine install' again."
        )
    with tempfile.TemporaryDirectory(dir=home()) as scratch:
        for name in ("go.mod", "go.sum", "tools.go"):
            shutil.copy(_MODULE / name, scratch)
        out, log = Path(scratch) / "pulumi", Path(scratch) / "build.log"
        command = [go, "build", "-v", "-ldflags", _LDFLAGS, "-o", str(out), _PACKAGE]
        environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod"}
        began = time.monotonic()
        progress("building the engine as a Go module: about six minutes on two cores, once")
        with log.open("wb") as sink:
            build = subprocess.Popen(command, cwd=scratch, env=environment, stdout=sink, stderr=sink)
            while build.poll() is None:
                time.sleep(1)
                elapsed = int(time.monotonic() - began)
                if elapsed % 15 == 0:
                    lines = log.read_text("utf-8", "replace").splitlines()
                    progress(f"{elapsed:>4} s, {len(lines)} packages, {lines[-1][:60] if lines else 'starting'}")
        if build.returncode:
            tail = " / ".join(log.read_text("utf-8", "replace").splitlines()[-3:])
            raise EngineError(f"Building the engine failed: {tail}. Check the Go proxy and disk space, and run again.")
        _place(out)


def _place(binary: Path) -> None:
    target = home() / "bin" / "pulumi"
    target.parent.mkdir(parents=True, exist_ok=True)
    binary.chmod(0o755)
    os.replace(binary, target)
