"""What is in `deploy/` is what the controller is: its options, its port, its paths, its end."""

from __future__ import annotations

import importlib
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from rollcast.cli.main import app
from tests.commands import ROLLCAST

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
MANIFESTS = [body for body in yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text("utf-8")) if body]
UNIT = (DEPLOY / "rollcast-controller.service").read_text("utf-8")
IMAGE = (DEPLOY / "Containerfile").read_text("utf-8")
_MODELS = {"apps/v1": "V1", "v1": "V1"}


def takes(words: list[str]) -> dict[str, Any]:
    """What the command makes of its words; a mistake in them raises."""
    command = typer.main.get_command(app)
    context = command.make_context("rollcast", list(words), resilient_parsing=True)
    name, found, rest = command.resolve_command(context, list(words))  # type: ignore[attr-defined]
    assert name == "controller"
    return dict(found.make_context(name, rest, parent=context).params)


def misfits(model: str, body: Any, where: str) -> list[str]:
    """Fields of a manifest that the API's own models do not know, and those that they ask for in vain."""
    kind = re.fullmatch(r"list\[(.*)\]", model)
    if kind:
        return [text for number, one in enumerate(body) for text in misfits(kind[1], one, f"{where}[{number}]")]
    if not model.startswith("V1"):
        return []
    made = getattr(importlib.import_module("kubernetes.client"), model)
    names = {api: own for own, api in made.attribute_map.items()}
    unknown = [f"{where}.{key} is unknown" for key in body if key not in names]
    try:
        made(**{names[key]: value for key, value in body.items() if key in names})
    except ValueError as error:
        unknown.append(f"{where}: {error}")
    inside = [(names[key], value, key) for key, value in body.items() if key in names]
    return unknown + [
        text for own, value, key in inside for text in misfits(made.openapi_types[own], value, f"{where}.{key}")
    ]


@pytest.mark.parametrize("body", MANIFESTS, ids=lambda body: body["kind"])
def test_every_field_of_a_manifest_is_one_of_the_api(body: dict[str, Any]) -> None:
    assert misfits(f"{_MODELS[body['apiVersion']]}{body['kind']}", body, body["kind"]) == []


def test_a_field_that_is_none_is_found() -> None:
    assert misfits("V1Deployment", {"spec": {"replicass": 1}}, "Deployment")


def test_one_replica_is_replaced_and_never_doubled_and_its_parts_fit_together() -> None:
    by_kind = {body["kind"]: body for body in MANIFESTS}
    spec = by_kind["Deployment"]["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    pod = spec["template"]["spec"]
    labels = spec["template"]["metadata"]["labels"]
    assert spec["selector"]["matchLabels"] == labels == by_kind["Service"]["spec"]["selector"]
    (container,) = pod["containers"]
    assert pod["serviceAccountName"] == by_kind["ServiceAccount"]["metadata"]["name"]
    claim = pod["volumes"][0]["persistentVolumeClaim"]["claimName"]
    assert claim == by_kind["PersistentVolumeClaim"]["metadata"]["name"]
    assert container["volumeMounts"][0]["name"] == pod["volumes"][0]["name"]
    paths = {container[probe]["httpGet"]["path"] for probe in ("livenessProbe", "readinessProbe")}
    assert paths == {"/healthz", "/readyz"}


def test_image_and_manifest_together_are_a_command_that_is_understood() -> None:
    (entry,) = re.findall(r"^ENTRYPOINT (\[.*\])$", IMAGE, re.MULTILINE)
    words = yaml.safe_load(entry)
    assert words[:3] == ["tini", "--", "rollcast"]
    container = next(body for body in MANIFESTS if body["kind"] == "Deployment")["spec"]["template"]["spec"][
        "containers"
    ][0]
    found = takes([*words[3:], *container["args"]])
    port = found["listen"].rpartition(":")[2]
    assert (found["source"], str(found["state"])) == ("https://git.example/team/releases.git", "/var/lib/rollcast")
    assert container["volumeMounts"][0]["mountPath"] == str(found["state"])
    assert {str(p["containerPort"]) for p in container["ports"]} == {port} == set(re.findall(r"EXPOSE (\d+)", IMAGE))


def test_the_image_copies_what_is_there_and_installs_extras_that_exist() -> None:
    (extras,) = re.findall(r"/src\[([a-z0-9,-]+)\]", IMAGE)
    known = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    assert set(extras.split(",")) <= set(known)
    assert (ROOT / "tests/constraints.txt").exists()
    go = re.search(r"^go (\d+\.\d+)", (ROOT / "stacks/rollcast/stacks/engine/go.mod").read_text("utf-8"), re.MULTILINE)
    assert go is not None
    assert f"golang:{go[1]}-" in IMAGE
    instructions = {line.split()[0] for line in re.sub(r"\\\n", " ", IMAGE).splitlines() if line and line[0] != "#"}
    assert instructions <= {
        "FROM",
        "COPY",
        "ENV",
        "RUN",
        "USER",
        "WORKDIR",
        "VOLUME",
        "EXPOSE",
        "STOPSIGNAL",
        "ENTRYPOINT",
    }


def test_the_unit_starts_a_command_that_is_understood_and_ends_it_with_patience() -> None:
    (start,) = re.findall(r"^ExecStart=(.*)$", UNIT, re.MULTILINE)
    found = takes(shlex.split(start)[1:])
    assert found["listen"] == "127.0.0.1:8724"
    assert "KillMode=mixed" in UNIT, "a second SIGTERM, to the rollout itself, would end it at once"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "rollcast-controller.service"
    unit.write_text(UNIT.replace("/opt/rollcast/bin/rollcast", ROLLCAST).replace("User=rollcast\n", ""), "utf-8")
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    own = [line for line in done.stderr.splitlines() if "rollcast" in line]
    assert own == []
