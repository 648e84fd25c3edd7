"""`mlflow:models:/NAME/VERSION`, `mlflow:models:/NAME@ALIAS`, and `prompts:` likewise: what an MLflow server has.

They are MLflow's own addresses behind `mlflow:`. An alias, and `latest`, is pinned to the version that it leads to.
MLflow states no digest of a model: its files are fetched and digested when it is locked. Files that its server does not
serve itself (`--serve-artifacts`) are refused. Of a prompt the digest is taken at each look (see `prompts`).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rollcast.planner.declaration.models import SourcePin
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.registries.mlflow_api import MlflowServer, mlflow_server
from rollcast.stacks.registries.prompts import CONFIG, RESPONSE, prompt_digest, prompt_files, put_prompt
from rollcast.stacks.registries.sources import Found
from rollcast.stacks.registries.transfer import Transfer

_SOURCE = re.compile(
    r"(?P<kind>models|prompts):/(?P<name>[^/:@#?\s][^/:@#?]*)(?:/(?P<version>[^/@#?]+)|@(?P<alias>[^/@#?\s]+))"
)
_STAGES = ("none", "staging", "production", "archived")
_LATEST = "latest"
_PROMPT, _TYPE, _TEXT = "mlflow.prompt.is_prompt", "_mlflow_prompt_type", "mlflow.prompt.text"
_SETTINGS = {CONFIG: "_mlflow_prompt_model_config", RESPONSE: "_mlflow_prompt_response_format"}


@dataclass(frozen=True)
class _Source:
    """version: a number, `latest`, or empty where it is an alias."""

    kind: str
    name: str
    version: str
    alias: str

    @property
    def what(self) -> str:
        """How messages name it."""
        return f"{self.kind[:-1]} '{self.name}{'@' + self.alias if self.alias else '/' + self.version}'"


class MlflowRegistry:
    """Models and prompts of the MLflow server that MLFLOW_TRACKING_URI names."""

    def mistake(self, rest: str) -> str:
        found = _SOURCE.fullmatch(rest)
        shape = "Write 'mlflow:models:/NAME/VERSION' or 'mlflow:models:/NAME@ALIAS', and 'prompts:' for a prompt."
        if found is None:
            return f"names no version or alias of a model or prompt. {shape}"
        version = found["version"] or ""
        if version.lower() in _STAGES:
            return (
                f"names the stage '{version}', which MLflow has given up. Set an alias in its place, and write "
                f"'mlflow:{found['kind']}:/{found['name']}@{version.lower()}'."
            )
        if version and not version.isdecimal() and version != _LATEST:
            return f"has '{version}' for a version, which is a number. {shape}"
        return ""

    def resolve(self, rest: str, project: Path) -> Found:
        source = _parse(rest)
        with mlflow_server() as server:
            version = _version_of(server, source)
            identity = f"mlflow:{source.kind}:/{source.name}/{version['version']}"
            pushed_s = _seconds(version.get("creation_timestamp"))
            if source.kind == "prompts":
                files = _prompt_of(version, source, server.host)
                size = sum(len(body) for body in files.values())
                return Found(identity, prompt_digest(files), size, pushed_s)
            listed = server.files_of(server.place_of(version, source.what), source.what)
            sizes = [file.size for file in listed]
            size_of_all = None if None in sizes else sum(size for size in sizes if size is not None)
            return Found(identity, "", size_of_all, pushed_s, _lineage_of(server, str(version.get("run_id") or "")))

    def fetch(self, rest: str, pin: SourcePin, into: Path, transfer: Transfer) -> None:
        source = _parse(rest)
        with mlflow_server() as server:
            version = _version_of(server, source)
            if source.kind == "prompts":
                put_prompt(_prompt_of(version, source, server.host), pin, into, transfer)
                return
            for file in server.files_of(server.place_of(version, source.what), source.what):
                path = transfer.place_for(into, file.name)
                transfer.download(server.client, server.url_of(file), path, size=file.size)


def _version_of(server: MlflowServer, source: _Source) -> dict[str, Any]:
    """What the server says of the version that a source leads to, which is of its kind. Raises StackError."""
    if source.version == _LATEST or source.alias == _LATEST:
        version = server.latest(source.name, source.what)
    elif source.alias:
        version = server.alias(source.name, source.alias, source.what)
    else:
        version = server.version(source.name, source.version, source.what)
    is_prompt = _tags_of(version).get(_PROMPT) == "true"
    if is_prompt != (source.kind == "prompts"):
        kind = "prompts" if is_prompt else "models"
        raise StackError(
            f"'{source.name}' is one of the {kind} of {server.host}. Write 'mlflow:{kind}:/{source.name}…'."
        )
    return version


def _prompt_of(version: dict[str, Any], source: _Source, host: str) -> dict[str, bytes]:
    """The files of a prompt's version. Raises StackError."""
    tags, where = _tags_of(version), f"{source.what}: {host}"
    settings = {name: _json(tags[tag], where) for name, tag in _SETTINGS.items() if tags.get(tag)}
    text: Any = tags.get(_TEXT)
    if tags.get(_TYPE) == "chat" and text:
        text = _json(text, where)
    return prompt_files(text, settings, where)


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise StackError(f"{where} answered with a prompt that can't be read. Register it again.") from None


def _tags_of(version: dict[str, Any]) -> dict[str, str]:
    tags = version.get("tags")
    pairs = [tag for tag in (tags if isinstance(tags, list) else ()) if isinstance(tag, dict)]
    return {str(tag.get("key")): str(tag.get("value", "")) for tag in pairs}


def _lineage_of(server: MlflowServer, run: str) -> tuple[str, ...]:
    """The run that made a model, and the datasets that it read, by MLflow's name and digest of each."""
    if not run:
        return ()
    try:
        inputs = server.run(run).get("inputs")
    except StackError:  # runs may be deleted, and their models stay
        return (f"mlflow:runs:/{run}",)
    listed = inputs.get("dataset_inputs") if isinstance(inputs, dict) else None
    datasets = [one.get("dataset") for one in (listed if isinstance(listed, list) else ()) if isinstance(one, dict)]
    named = [f"{one.get('name')}@{one.get('digest')}" for one in datasets if isinstance(one, dict)]
    return (f"mlflow:runs:/{run}", *sorted(named))


def _seconds(said: Any) -> float | None:
    """MLflow counts milliseconds."""
    return said / 1000 if isinstance(said, int) else None


def _parse(rest: str) -> _Source:
    found = _SOURCE.fullmatch(rest)
    if found is None:
        raise StackError(f"'mlflow:{rest}' names no version or alias. Run 'rollcast validate'.")
    return _Source(found["kind"], found["name"], found["version"] or "", found["alias"] or "")


__all__ = ["MlflowRegistry"]
