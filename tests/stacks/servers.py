"""Real servers of Debian's packages, started in a folder of their own on a free port, and gone afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from tests.stacks.site import free_port

_NUMBERS = count()


@dataclass
class Postgres:
    """A PostgreSQL of its own, started and stopped."""

    folder: Path
    port: int
    user: str
    words: list[str]
    who: dict[str, Any]
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(self.words, cwd=self.folder, stdout=log, stderr=log, **self.who)
        _await(lambda: create_engine(self.url()).connect().close(), self.folder / "server.log")

    def stop(self) -> None:
        """At once, whoever is connected."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()

    def url(self, database: str = "postgres") -> str:
        return f"postgresql+psycopg://{self.user}@127.0.0.1:{self.port}/{database}"

    def database(self) -> str:
        """A new, empty database."""
        name = f"test_{next(_NUMBERS)}"
        engine = create_engine(self.url(), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        engine.dispose()
        return self.url(name)


def server_program(name: str) -> str:
    """A server program, wherever Debian puts it."""
    places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    found = shutil.which(name) or (str(places[-1]) if places else None)
    if found is None:
        pytest.skip(f"{name} isn't installed; 'make test' installs it")
    return found


def _unprivileged() -> dict[str, Any]:
    """PostgreSQL refuses to run as root: then it runs as the user that its package made."""
    if os.getuid() != 0:
        return {}
    user = pwd.getpwnam("postgres")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


@contextmanager
def postgres(folder: Path) -> Iterator[Postgres]:
    """PostgreSQL on a free port, until the block ends."""
    initdb, server = server_program("initdb"), server_program("postgres")
    who, data, port = _unprivileged(), folder / "data", free_port()
    if who:
        os.chown(folder, who["user"], who["group"])
        for parent in folder.parents:
            with suppress(PermissionError):
                parent.chmod(parent.stat().st_mode | 0o011)
            if parent == Path("/tmp"):
                break
    make = [initdb, "-D", str(data), "-U", "rollcast", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8"]
    subprocess.run(make, check=True, capture_output=True, cwd=folder, **who)
    words = [server, "-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", str(folder), "-c", "fsync=off"]
    found = Postgres(folder, port, "rollcast", words, who)
    try:
        found.start()
        yield found
    finally:
        found.stop()


@contextmanager
def prometheus(folder: Path, scraped: int) -> Iterator[str]:
    """Prometheus that reads the metrics of a local port every half second; gives its address."""
    program, port = server_program("prometheus"), free_port()
    config = folder / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 500ms, scrape_timeout: 400ms}\n"
        f"scrape_configs: [{{job_name: rag, static_configs: [{{targets: ['127.0.0.1:{scraped}']}}]}}]\n"
    )
    words = [program, f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}"]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [*words, f"--web.listen-address=127.0.0.1:{port}"], cwd=folder, stdout=log, stderr=log
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _await(lambda: urllib.request.urlopen(f"{url}/-/ready", timeout=1).close(), folder / "server.log")
            yield url
        finally:
            process.kill()
            process.wait()


def _await(probe: Any, log: Path) -> None:
    for _ in range(150):
        try:
            probe()
            return
        except Exception:
            time.sleep(0.1)
    raise AssertionError(log.read_text("utf-8", "replace")[-2000:])
