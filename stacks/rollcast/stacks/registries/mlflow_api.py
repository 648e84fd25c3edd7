"""The REST API of an MLflow server: versions of models and prompts, runs, and the files that it serves.

Where it is and who asks is said by MLflow's own variables: MLFLOW_TRACKING_URI, MLFLOW_TRACKING_USERNAME and
MLFLOW_TRACKING_PASSWORD (or ~/.mlflow/credentials), MLFLOW_TRACKING_TOKEN.
"""

from __future__ import annotations

import configparser
import contextlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from rollcast.stacks.base.errors import StackError
from rollcast.stacks.registries.http_client import Answer, http_client, request
from rollcast.stacks.registries.limits import Limits
from rollcast.stacks.registries.transfer import leads_out

_PROXY = "mlflow-artifacts"
_RUN = re.compile(r"runs:/(?P<run>[^/]+)/(?P<path>.+)")
_DEPTH = 64  # folders in one another


@dataclass(frozen=True)
class ArtifactFile:
    """One file of a model. name: below the model's folder. size: bytes, where the server says."""

    name: str
    path: str
    size: int | None


class MlflowServer:
    """One server. `host` names it in messages."""

    def __init__(self, client: httpx.Client, address: str) -> None:
        self.client, self._address = client, address
        self.host = httpx.URL(address).netloc.decode()

    # ---- what is registered -------------------------------------------------------------------

    def version(self, name: str, version: str, what: str) -> dict[str, Any]:
        """What the server says of a version. Raises StackError: it is absent, or not ready."""
        return self._whole(self._ask("model-versions/get", what, name=name, version=version), name, what)

    def alias(self, name: str, alias: str, what: str) -> dict[str, Any]:
        """The version that an alias leads to now. Raises StackError."""
        return self._whole(self._ask("registered-models/alias", what, name=name, alias=alias), name, what)

    def latest(self, name: str, what: str) -> dict[str, Any]:
        """The highest version of a model. Raises StackError."""
        model = self._ask("registered-models/get", what, name=name).get("registered_model")
        listed = model.get("latest_versions") if isinstance(model, dict) else None
        numbers = [
            str(one["version"])
            for one in (listed if isinstance(listed, list) else ())
            if isinstance(one, dict) and str(one.get("version", "")).isdecimal()
        ]
        if not numbers:
            raise StackError(f"{self.host} has no version of {what}. Register one.")
        return self.version(name, max(numbers, key=int), what)

    def run(self, run: str) -> dict[str, Any]:
        """What the server says of a run. Raises StackError."""
        said = self._ask("runs/get", f"run {run}", run_id=run).get("run")
        return said if isinstance(said, dict) else {}

    def _whole(self, said: dict[str, Any], name: str, what: str) -> dict[str, Any]:
        version = said.get("model_version")
        if not isinstance(version, dict) or version.get("name") != name:
            raise StackError(f"{self.host} answered with another thing than {what}. Check MLFLOW_TRACKING_URI.")
        if not str(version.get("version", "")).isdecimal():
            raise StackError(f"{self.host} names no version of {what}. Check MLFLOW_TRACKING_URI.")
        if version.get("status", "READY") != "READY":
            raise StackError(f"{what} is not ready on {self.host} ({version['status']}). Wait, or register it again.")
        return version

    # ---- files --------------------------------------------------------------------------------

    def place_of(self, version: dict[str, Any], what: str) -> str:
        """Where the server has the files of a version, for `files_of`. Raises StackError: it serves them not itself."""
        version_of = {"name": str(version["name"]), "version": str(version["version"])}
        place = str(self._ask("model-versions/get-download-uri", what, **version_of).get("artifact_uri", ""))
        if run := _RUN.fullmatch(place):
            info = self.run(run["run"]).get("info")
            place = f"{info.get('artifact_uri', '') if isinstance(info, dict) else ''}/{run['path']}"
        scheme, _, path = place.partition(":")
        if scheme != _PROXY:
            raise StackError(
                f"{what} lies in a store of kind '{scheme}', which {self.host} does not serve itself. Start it with "
                "'--serve-artifacts' and log the model again, or name that store as the source."
            )
        authority, slash, below = path.removeprefix("//").partition("/") if path.startswith("//") else ("", "/", path)
        if authority and authority != self.host:
            raise StackError(f"{what} is served by {authority}, not by {self.host}. Set MLFLOW_TRACKING_URI to that.")
        below = below.strip("/")
        if not slash or leads_out(below):
            raise StackError(f"{self.host} says that {what} lies in '{below}', a path that leads out of its store.")
        return below

    def files_of(self, place: str, what: str) -> list[ArtifactFile]:
        """All files below a place, in order of name. Raises StackError: none, a path that leads out, no end."""
        most, files, seen = Limits.from_environment().files, [], 0
        folders = [""]
        while folders:
            folder = folders.pop()
            for name, size in self._entries(f"{place}/{folder}".rstrip("/"), what):
                seen += 1
                below = f"{folder}/{name}" if folder else name
                if seen > most or below.count("/") > _DEPTH:
                    raise StackError(
                        f"{self.host} lists files of {what} without an end. "
                        f"Set ROLLCAST_MAX_FILES if more than {most:,} are meant."
                    )
                if size is _FOLDER:
                    folders.append(below)
                else:
                    files.append(ArtifactFile(below, f"{place}/{below}", size if isinstance(size, int) else None))
        if not files:
            raise StackError(
                f"{self.host} has no file of {what}. Log the model again; 'mlflow.register_model' finds where it lies."
            )
        return sorted(files, key=lambda file: file.name)

    def url_of(self, file: ArtifactFile) -> str:
        """Where a file is downloaded from."""
        return f"{self._address}/api/2.0/{_PROXY}/artifacts/{quote(file.path)}"

    def _entries(self, path: str, what: str) -> Iterator[tuple[str, int | object | None]]:
        """Names in one folder, with their size, or _FOLDER."""
        listed = self._ask("artifacts", what, api=_PROXY, path=path).get("files", [])
        try:
            for entry in listed:
                name, size = entry["path"], entry.get("file_size")
                name.encode()
                if leads_out(name) or "/" in name:
                    raise StackError(
                        f"{self.host} lists '{name}' of {what}, a path that leads out of its folder. "
                        "See who put it there."
                    )
                yield name, _FOLDER if entry.get("is_dir") else None if size is None else int(size)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StackError(
                f"{self.host} lists a file of {what} that can't be read ({error}). Check MLFLOW_TRACKING_URI."
            ) from None

    # ---- one question -------------------------------------------------------------------------

    def _ask(self, question: str, what: str, *, api: str = "mlflow", **about: str) -> dict[str, Any]:
        answer = request(self.client, "GET", f"{self._address}/api/2.0/{api}/{question}", params=about)
        if answer.status in (401, 403):
            raise StackError(f"{self.host} does not let you read {what}. Set {_CREDENTIALS}.")
        if answer.status in (400, 404) and _is_refusal(answer):
            raise StackError(f"{self.host} has no {what}. Correct its name, or register it.")
        if answer.status != 200:
            raise StackError(
                f"{self.host} answered {answer.status}, as no MLflow server does. Check MLFLOW_TRACKING_URI."
            )
        said = answer.json(self.host)
        if not isinstance(said, dict):
            raise StackError(f"{self.host} answered as no MLflow server does. Check MLFLOW_TRACKING_URI.")
        return said


_FOLDER = object()
_CREDENTIALS = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"


@contextlib.contextmanager
def mlflow_server() -> Iterator[MlflowServer]:
    """The server that the environment names, called with the user's credentials. Raises StackError."""
    address = os.environ.get("MLFLOW_TRACKING_URI", "").strip().rstrip("/")
    if not address:
        raise StackError("MLFLOW_TRACKING_URI is not set. Set it to the address of the MLflow server.")
    if not address.startswith(("http://", "https://")):
        raise StackError("MLFLOW_TRACKING_URI is no address of http or https. Set it to that of an MLflow server.")
    user, password = _credentials()
    token = os.environ.get("MLFLOW_TRACKING_TOKEN", "")
    about: dict[str, Any] = {}
    if user and password:
        about["auth"] = (user, password)
    elif token:
        about["headers"] = {"authorization": f"Bearer {token}"}
    with http_client(**about) as client:
        yield MlflowServer(client, address)


def _credentials() -> tuple[str, str]:
    """Name and password, of the environment or of MLflow's own file. Raises StackError."""
    file = configparser.ConfigParser(interpolation=None)
    try:
        file.read(Path.home() / ".mlflow" / "credentials", "utf-8")
    except (configparser.Error, UnicodeDecodeError):
        raise StackError("~/.mlflow/credentials can't be read. Correct it, or remove it.") from None
    said = dict(file["mlflow"]) if file.has_section("mlflow") else {}
    user = os.environ.get("MLFLOW_TRACKING_USERNAME") or said.get("mlflow_tracking_username", "")
    password = os.environ.get("MLFLOW_TRACKING_PASSWORD") or said.get("mlflow_tracking_password", "")
    return user, password


def _is_refusal(answer: Answer) -> bool:
    """Whether an error is MLflow's own, and not that of something else at its address."""
    try:
        return "error_code" in json.loads(answer.body)
    except (ValueError, TypeError):
        return False


__all__ = ["ArtifactFile", "MlflowServer", "mlflow_server"]
