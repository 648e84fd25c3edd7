"""Flags that a target publishes and a relay elsewhere reads: SQLite, PostgreSQL and an S3 server, each a real one."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest
from sqlalchemy import create_engine, text

from rollcast.stacks.base.errors import StackError
from rollcast.stacks.conformance import subject
from rollcast.stacks.conformance.probe import Probe, ProbeRequest
from rollcast.stacks.flags.flag_documents import definition_of
from rollcast.stacks.flags.flagd import FlagdFlags, FlagdSettings
from rollcast.stacks.flags.publishing import place_of
from rollcast.stacks.relay.source import DefinitionFile, SourceFault
from tests.dataplane.releasing import FLAG, both
from tests.relay.relays import relaying, until
from tests.stacks.servers import postgres
from tests.stacks.site import free_port

KEYS = {
    "AWS_ACCESS_KEY_ID": "of-a-test",
    "AWS_SECRET_ACCESS_KEY": "s3cret-of-a-test",
    "AWS_DEFAULT_REGION": "eu-west-1",
}


class Kept:
    """A place in a server that can be spoiled: its URL, what its relay needs, and how to write garbage there."""

    def __init__(self, url: str, spoil: Callable[[str], None], **environment: str) -> None:
        self.url, self.spoil, self.environment = url, spoil, environment


def in_database(address: str) -> Kept:
    def spoil(body: str) -> None:
        engine = create_engine(address)
        with engine.begin() as connection:
            spoiled = text("UPDATE rollcast_definitions SET body = :body, digest = 'sha256:0' WHERE name = 'prod'")
            connection.execute(spoiled, {"body": body})
        engine.dispose()

    return Kept(f"{address}#prod", spoil)


@contextmanager
def moto(folder: Path) -> Iterator[str]:
    """An S3 server."""
    port = free_port()
    with (folder / "moto.log").open("ab") as log:
        words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        process = subprocess.Popen(words, stdout=log, stderr=log)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module", params=["sqlite", "postgresql", "s3"])
def kept(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    folder = tmp_path_factory.mktemp(request.param)
    match request.param:
        case "sqlite":
            yield in_database(f"sqlite:///{folder}/flags.db")
        case "postgresql":
            with postgres(folder) as server:
                yield in_database(server.database())
        case _:
            with moto(folder) as endpoint:
                environment = {**KEYS, "AWS_ENDPOINT_URL": endpoint}
                with pytest.MonkeyPatch.context() as patched:
                    for name, value in environment.items():
                        patched.setenv(name, value)
                    client = boto3.client("s3")
                    until(lambda: _made(client), 30)
                    yield Kept(
                        "s3://flags/prod/flags.json",
                        lambda body: client.put_object(Bucket="flags", Key="prod/flags.json", Body=body.encode()),
                        **environment,
                    )


def _made(client: object) -> bool:
    try:
        client.create_bucket(Bucket="flags", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})  # type: ignore[attr-defined]
    except Exception:
        return False
    return True


def test_what_a_target_publishes_a_relay_elsewhere_serves(kept: Kept, tmp_path: Path) -> None:
    """A change within 2 s; what is spoiled is said once, and the last good definition goes on being served."""
    target = FlagdFlags(FlagdSettings(publish=(kept.url,)), tmp_path)
    target.put_flag(1, FLAG, both(0))
    with relaying(kept.url, **kept.environment) as relay:  # type: ignore[arg-type]
        served = relay.ask("GET", "/rollcast/v1/flags")
        assert served.json() == {"flags": {FLAG: both(0)}}
        began = time.monotonic()
        target.put_flag(2, FLAG, both(50))
        until(lambda: relay.ask("GET", "/rollcast/v1/flags").json()["flags"][FLAG] == both(50), 5)
        assert time.monotonic() - began < 2
        kept.spoil('{"flags": ')
        relay.await_said("the last good definition goes on being served", 5)
        assert relay.ask("GET", "/rollcast/v1/flags").json()["flags"][FLAG] == both(50)
        target.put_flag(3, FLAG, both(100))
        relay.await_said("is right again", 5)
        assert relay.ask("GET", "/rollcast/v1/flags").json()["flags"][FLAG] == both(100)
        assert "s3cret" not in relay.all_said()


def test_a_relay_that_starts_before_there_is_anything_serves_it_once_there_is(kept: Kept, tmp_path: Path) -> None:
    url = kept.url.replace("prod", "later")
    with relaying(url, **kept.environment) as relay:  # type: ignore[arg-type]
        assert "there is nothing to serve yet" in relay.all_said()
        assert relay.ask("GET", "/rollcast/v1/flags").status_code == 503
        FlagdFlags(FlagdSettings(publish=(url,)), tmp_path).put_flag(1, FLAG, both(0))
        until(lambda: relay.ask("GET", "/rollcast/v1/flags").status_code == 200, 5)


def test_what_is_not_published_is_not_written_either(tmp_path: Path) -> None:
    """Else the driver would take for true what no relay has."""
    target = FlagdFlags(FlagdSettings(publish=(f"sqlite:///{tmp_path}/no/such/folder.db#prod",)), tmp_path)
    with pytest.raises(StackError, match=r"folder\.db#prod can't be written"):
        target.put_flag(1, FLAG, both(0))
    assert target.flags() == {}


def test_the_ledgers_database_is_a_place_and_holds_it_beside_the_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rollcast.stacks.ledger.ledger import open_ledger

    monkeypatch.delenv("ROLLCAST_LEDGER_URL", raising=False)
    ledger = open_ledger(tmp_path, "p/prod")
    FlagdFlags(FlagdSettings(publish=("ledger#prod",)), tmp_path).put_flag(1, FLAG, both(0))
    found = place_of("ledger#prod", tmp_path).get()
    assert found is not None
    assert definition_of(found[1]) == {"flags": {FLAG: both(0)}}
    assert place_of("ledger#prod", tmp_path).get(found[0]) is None
    with pytest.raises(StackError, match="holds no flags yet"):
        place_of("ledger#staging", tmp_path).get()
    engine = create_engine(f"sqlite:///{tmp_path}/.rollcast/ledger.db")
    with engine.begin() as connection:
        connection.execute(text("UPDATE rollcast_definitions SET body = '{\"flags\": {}}'"))
    engine.dispose()
    with pytest.raises(StackError, match="was changed by hand"):
        place_of("ledger#prod", tmp_path).get()
    assert ledger.scopes() == [], "it is no record of the ledger"
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(StackError, match="is not there"):
        place_of("ledger#prod", tmp_path / "elsewhere").get()
    assert not list((tmp_path / "elsewhere").iterdir()), "a look makes nothing"


@pytest.mark.parametrize(
    "url", ["ledger", "ledger#", "sqlite:///x", "mysql://a:s3cret@h/d#n", "s3://bucket", "ftp://h/x#y"]
)
def test_what_is_no_place_is_refused_without_its_password(url: str, tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"Write .*s3://BUCKET/KEY") as caught:
        place_of(url, tmp_path)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "garbage",
    ["", " ", "{", "[]", "null", '{"flags": []}', '{"flags": {"a": 1}}', '{"flags": {"a": {"x": NaN}}}', "[" * 9999],
)
def test_all_that_read_a_definition_refuse_the_same(garbage: str, tmp_path: Path) -> None:
    """Target, relay and conformance test."""
    path = tmp_path / "flags.json"
    path.write_text(garbage, "utf-8")
    with pytest.raises(StackError, match="no flag definition"):
        FlagdFlags(FlagdSettings(definition="flags.json"), tmp_path).flags()
    with pytest.raises(SourceFault, match="no flag definition"):
        DefinitionFile(path).read()
    with pytest.raises(StackError, match="can't be read as a flag definition"):
        subject.TestedService([], Probe(pipeline="p", definition=path, request=ProbeRequest(path="/")))
    path.write_text(json.dumps({"flags": {"a": {}}}), "utf-8")
    assert FlagdFlags(FlagdSettings(definition="flags.json"), tmp_path).flags() == {"a": {}}
