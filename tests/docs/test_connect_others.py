"""The pages that connect what has no kit of its own: their code, configurations and calls run as they stand there."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from rollcast.stacks.flags.definitions import content_digest
from tests.dataplane.releasing import FLAG, NEW, OLD, both, put, release
from tests.dataplane.running import until
from tests.relay.relays import relaying
from tests.spec.test_schemas import validator
from tests.stacks.site import free_port

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"


def block(page: str, first_line: str) -> str:
    """The code of a page that begins with this line."""
    text = (HOW_TO / f"{page}.md").read_text("utf-8")
    return next(code for code in re.findall(r"^```\w*\n(.*?)^```$", text, re.M | re.S) if code.startswith(first_line))


def outcomes(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "live/telemetry/requests.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


# ---- LangGraph ----------------------------------------------------------------------------------


@pytest.fixture
def help_desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The page's module, in a folder where the old release serves."""
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "live" / "flags.json", both(0))
    made: dict[str, Any] = {"__name__": "help_desk"}
    exec(compile(block("connect-langgraph", "# langgraph:"), "help_desk.py", "exec"), made)  # noqa: S102 - the page's own
    yield made
    made["plane"].stop()


def test_a_graph_runs_on_one_release_whatever_changes_under_it(help_desk: dict[str, Any], tmp_path: Path) -> None:
    whole = {
        each.id: f"{each.folders['generator']} by {each.folders['prompt']}, of {each.folders['index']}"
        for each in (OLD, NEW)
    }
    assert help_desk["answer"]("ann", "t1", "how?") == whole[OLD.id]
    inner = help_desk["retrieve"]

    def changing(turn: Any) -> Any:
        put(tmp_path / "live" / "flags.json", both(100))
        until(lambda: help_desk["plane"].definition().content == content_digest(both(100)), 5)
        return inner(turn)

    help_desk["builder"].nodes["retrieve"].runnable.func = changing
    help_desk["graph"] = help_desk["builder"].compile()
    assert help_desk["answer"]("bob", "t2", "how?") == whole[OLD.id], "it began on the old one"
    assert help_desk["answer"]("cid", "t3", "how?") == whole[NEW.id]
    assert help_desk["answer"]("ann", "t1", "and then?") == whole[OLD.id], "a thread keeps its release"
    assert [each["release"] for each in outcomes(tmp_path)] == [OLD.id, OLD.id, NEW.id, OLD.id]
    assert help_desk["plane"].state()["releases"] == {}


def test_asynchronous_runs_see_their_release_too(help_desk: dict[str, Any]) -> None:
    async def run() -> str:
        with help_desk["plane"].request(user="ann"):
            turn = await help_desk["graph"].ainvoke({"question": "how?"}, {"configurable": {"thread_id": "t"}})
            return str(turn["answer"])

    with ThreadPoolExecutor(1) as elsewhere:  # a browser's tests may keep a loop running in this thread
        assert OLD.folders["prompt"] in elsewhere.submit(lambda: asyncio.run(run())).result()


# ---- a gateway ----------------------------------------------------------------------------------


@contextmanager
def serving(name: str) -> Iterator[int]:
    """A model server that says which it is, and what headers it got."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {key.lower(): value for key, value in self.headers.items()}
            data = json.dumps({"server": name, "headers": headers}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("kind", ["haproxy", "nginx"])
def test_a_gateway_sends_each_release_to_its_pool_and_refuses_others(kind: str, tmp_path: Path) -> None:
    program = shutil.which(kind, path=os.pathsep.join([os.environ["PATH"], "/usr/sbin"]))
    if program is None:
        pytest.skip(f"{kind} is not installed")
    old, new = release(1), release(2, generator={})
    flag = both(0, new, old)
    flag["variants"][new.id]["components"]["generator"]["instance"] = "help-desk/generator/chat-2"
    flag["variants"][old.id]["components"]["generator"]["instance"] = "help-desk/generator/chat-1"
    put(tmp_path / "live" / "flags.json", flag)
    (tmp_path / "map.py").write_text(block("connect-a-gateway", "# pools:"))
    lines = subprocess.run([sys.executable, "map.py"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert set(lines.splitlines()) == {f"{old.id} help_desk_generator_chat_1", f"{new.id} help_desk_generator_chat_2"}
    (tmp_path / "releases.map").write_text(lines)
    (tmp_path / "releases.conf").write_text("".join(f"{line};\n" for line in lines.splitlines()))
    with serving("one") as one, serving("two") as two:
        port = free_port()
        name = {"haproxy": "haproxy.cfg", "nginx": "nginx.conf"}[kind]
        text = block("connect-a-gateway", f"# gateway: {name}")
        for was, now in ((8700, port), (8701, one), (8702, two)):
            text = text.replace(f"127.0.0.1:{was}", f"127.0.0.1:{now}")
        own = "".join(f" {each}_temp_path {each};" for each in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (tmp_path / name).write_text(text.replace("http {", f"http {{{own} access_log off;"))  # nothing below /var
        words = {
            "haproxy": [program, "-db", "-f", name],
            "nginx": [
                program,
                "-p",
                f"{tmp_path}/",
                "-c",
                name,
                "-e",
                "stderr",
                "-g",
                f"daemon off; pid {tmp_path}/pid;",
            ],
        }[kind]
        with (tmp_path / "log").open("ab") as log:
            process = subprocess.Popen(words, cwd=tmp_path, stdout=log, stderr=log)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
                until(lambda: client.get("/").status_code, 10, (tmp_path / "log").read_text)
                for asked, server in ((old.id, "one"), (new.id, "two"), (old.id, "one")):
                    reply = client.post("/v1/chat", json={}, headers={"x-rollcast-release": asked})
                    assert reply.json()["server"] == server
                    assert reply.json()["headers"]["x-rollcast-release"] == asked
                    assert reply.headers["x-rollcast-release"] == asked
                for headers in ({"x-rollcast-release": "rel-unknown"}, {}):
                    reply = client.post("/v1/chat", json={}, headers=headers)
                    assert reply.status_code == 503
                    assert reply.json()["release"] == headers.get("x-rollcast-release", "")
                    assert "does not know the release" in reply.json()["error"]
        finally:
            process.terminate()
            process.wait(10)


# ---- a language without a kit -------------------------------------------------------------------


def test_the_calls_of_the_page_serve_a_request(tmp_path: Path) -> None:
    if not shutil.which("jq") or not shutil.which("curl"):
        pytest.skip("jq or curl is not installed")
    definition = tmp_path / "flags.json"
    put(definition, both(0))
    tokens = {"ROLLCAST_RELAY_TOKEN": "of-data-planes", "ROLLCAST_RELAY_DRIVER_TOKEN": "of-the-driver"}
    with relaying(definition, **tokens) as relay, serving("next") as port:
        script = tmp_path / "one-request.sh"
        script.write_text(block("connect-any-language", "# calls:"))
        environment = {**os.environ, **tokens, "RELAY": relay.url, "NEXT": f"http://127.0.0.1:{port}/rank"}

        def run(**more: str) -> subprocess.CompletedProcess[str]:
            words = ["sh", str(script)]
            return subprocess.run(
                words,
                cwd=tmp_path,
                env={**environment, **more},
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )

        done = run()
        assert done.returncode == 0, done.stderr
        assert f'"x-rollcast-release": "{OLD.id}"' in done.stdout
        assert f'"baggage": "rollcast.release={OLD.id}"' in done.stdout
        (record,) = outcomes(tmp_path)
        validator("telemetry-record").validate(record)
        assert (record["release"], record["components"]) == (OLD.id, OLD_ARTIFACTS)
        driver = {"Authorization": "Bearer of-the-driver"}
        (replica,) = relay.fleet(**driver)["replicas"]
        assert (replica["replica"], replica["missing"]) == ("shell-1", False)
        assert replica["definitions"] == {FLAG: content_digest(both(0))}
        assert replica["finished"] == {OLD.id: 1}
        put(definition, both(100))
        time.sleep(0.5)
        assert f'"x-rollcast-release": "{NEW.id}"' in run(LEAVING="true").stdout
        assert relay.fleet(**driver)["replicas"] == [], "it said goodbye"
        put(definition, None)
        time.sleep(0.5)
        refused = run()
        assert refused.returncode != 0, "nothing is served by default"
        assert len(outcomes(tmp_path)) == 2
        assert run(ROLLCAST_RELAY_TOKEN="wrong").returncode != 0


OLD_ARTIFACTS = {"prompt": "prompt@1", "index": "index@1", "generator": "chat@1"}
