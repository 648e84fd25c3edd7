"""The page that connects an Express service: its code compiles as it stands, and serves."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import httpx

from tests.dataplane.releasing import OLD, both, put
from tests.dataplane.running import until
from tests.dataplane_ts.building import KIT, ROOT, stop
from tests.stacks.site import free_port

PAGE = (ROOT / "docs" / "how-to" / "connect-your-service-express.md").read_text("utf-8")
BLOCKS = re.findall(r"^```ts\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
README = re.findall(r"^```ts\n(.*?)^```$", (KIT / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
AROUND = """
import express from "express";
import http from "node:http";
declare const url: string, prompts: Map<string, string>, server: http.Server;
declare function ask(prompt: unknown, message: string): Promise<Answer>;
interface Answer { text: string; inputTokens: number; outputTokens: number }
const app = express();
"""


def test_the_examples_compile_and_serve(kit: Path, tmp_path: Path) -> None:
    folder = kit / "page"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "node_modules" / "@rollcast").mkdir(parents=True)
    (folder / "node_modules" / "@rollcast" / "dataplane").symlink_to(kit)
    (folder / "package.json").write_text('{"type": "module"}', "utf-8")
    whole = next(text for text in BLOCKS if "// express: app.ts" in text)
    (folder / "app.ts").write_text(whole, "utf-8")
    parts = [text for text in BLOCKS if text != whole] + README
    assert len(parts) == 2
    for number, text in enumerate(parts):
        (folder / f"part{number}.ts").write_text(AROUND + text, "utf-8")
    words = ["--strict", "--skipLibCheck", "--module", "nodenext", "--target", "es2022", "--types", "node"]
    names = ["app.ts", *(f"part{number}.ts" for number in range(len(parts)))]
    compiler = kit / "node_modules" / "typescript" / "bin" / "tsc"
    done = subprocess.run(["node", compiler, *words, *names], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    put(tmp_path / "live" / "flags.json", both(0))
    port = free_port()
    process = subprocess.Popen(["node", folder / "app.js"], cwd=tmp_path, env={**os.environ, "PORT": str(port)})
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            until(lambda: client.get("/rollcast/inflight").status_code == 200, 30)
            answer = client.post("/chat", json={"user": "ann", "session": "s"})
            assert answer.headers["x-rollcast-release"] == OLD.id
            assert "answered with " in answer.json()["answer"]
    finally:
        stop(process)
    assert (tmp_path / "live" / "telemetry" / "requests.jsonl").exists()
