"""The engine's archive is run only where it is the one whose digest was given."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from pathlib import Path

import pytest

from rollcast.stacks import engine
from rollcast.stacks.base.errors import EngineError
from tests.registries.web import Web

PROGRAM = f"#!/bin/sh\necho v{engine.VERSION}\n".encode()


def archive() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        entry = tarfile.TarInfo("pulumi/pulumi")
        entry.size, entry.mode = len(PROGRAM), 0o755
        tar.addfile(entry, io.BytesIO(PROGRAM))
    return packed.getvalue()


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """A home without an engine, and a PATH with curl and a shell but neither pulumi nor Go."""
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    for name in ("curl", "sh"):
        (bin_ / name).symlink_to(next(p for d in os.environ["PATH"].split(":") if (p := Path(d) / name).exists()))
    monkeypatch.setenv("PATH", str(bin_))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("ROLLCAST_ENGINE_SHA256", raising=False)
    return []


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the archive is for x86-64")
def test_only_the_archive_whose_digest_was_given_is_run(monkeypatch: pytest.MonkeyPatch, told: list[str]) -> None:
    content = archive()
    with Web() as web:
        web.files["/pulumi.tar.gz"] = content
        monkeypatch.setattr(engine, "_ARCHIVE", f"{web.address}/pulumi.tar.gz")
        with pytest.raises(EngineError, match="ROLLCAST_ENGINE_SHA256 to download it"):
            engine.ensure(told.append)
        assert not web.seen
        monkeypatch.setenv("ROLLCAST_ENGINE_SHA256", "0" * 64)
        with pytest.raises(EngineError, match="Nothing was installed"):
            engine.ensure(told.append)
        assert not (engine.home() / "bin").exists()
        monkeypatch.setenv("ROLLCAST_ENGINE_SHA256", f"sha256:{hashlib.sha256(content).hexdigest().upper()}")
        assert engine.ensure(told.append).read_bytes() == PROGRAM
