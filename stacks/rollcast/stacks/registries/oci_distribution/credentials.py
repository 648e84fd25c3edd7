"""Credentials where Docker's tools have them: `config.json` in DOCKER_CONFIG or ~/.docker, and credential helpers.

They are read when a registry asks for some, and held no longer than that takes. No message and no log holds one.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rollcast.stacks.base.errors import StackError
from rollcast.stacks.registries.limits import Limits

_HUB, _HUB_KEY = "docker.io", "https://index.docker.io/v1/"
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_TOKEN_USER = "<token>"  # how a helper says that its secret is a token, not a password


@dataclass(frozen=True)
class Credentials:
    """A user with a password; or a token to get others with (`refresh`), or one that is used as it is (`bearer`)."""

    user: str = ""
    password: str = field(default="", repr=False)
    refresh: str = field(default="", repr=False)
    bearer: str = field(default="", repr=False)

    @property
    def basic(self) -> str:
        """The header of HTTP's own scheme."""
        return f"Basic {base64.b64encode(f'{self.user}:{self.password}'.encode()).decode()}"


def config_path() -> Path:
    """The file that 'docker login' writes."""
    return Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"


def credentials_of(host: str) -> Credentials | None:
    """Those of a registry; None where there are none. Raises StackError: the file or a helper can't be used."""
    path = config_path()
    try:
        said = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        raise StackError(f"{path} can't be read as JSON. Correct it, or run 'docker login {host}'.") from None
    if not isinstance(said, dict):
        raise StackError(f"{path} is no object of JSON. Correct it, or run 'docker login {host}'.")
    key = _HUB_KEY if host == _HUB else host
    helpers = said.get("credHelpers")
    helper = (helpers.get(key) if isinstance(helpers, dict) else None) or said.get("credsStore")
    if isinstance(helper, str) and helper:
        found = _from_helper(helper, key)
        if found is not None:
            return found
    entries = said.get("auths")
    for name, entry in (entries if isinstance(entries, dict) else {}).items():
        if isinstance(entry, dict) and (name == key or _host_of(name) == host):
            found = _from_entry(entry, path, name)
            if found is not None:
                return found
    return None


def _host_of(name: str) -> str:
    """The host of an entry, that older tools wrote as an address."""
    return re.sub(r"^https?://", "", name).partition("/")[0].lower()


def _from_entry(entry: Mapping[str, Any], path: Path, name: str) -> Credentials | None:
    def text(key: str) -> str:
        said = entry.get(key)
        return said if isinstance(said, str) else ""

    user, password = text("username"), text("password")
    if text("auth"):
        try:
            user, _, password = base64.b64decode(text("auth"), validate=True).decode().rstrip("\0").partition(":")
        except ValueError:
            raise StackError(f"{path}: 'auth' of '{name}' is no base64. Run 'docker login {name}' again.") from None
    if text("registrytoken"):
        return Credentials(bearer=text("registrytoken"))
    if text("identitytoken"):
        return Credentials(user, refresh=text("identitytoken"))
    return Credentials(user, password) if user and password else None


def _from_helper(helper: str, key: str) -> Credentials | None:
    """What `docker-credential-NAME get` says. Raises StackError without a word of what it wrote."""
    if not _HELPER.fullmatch(helper):
        raise StackError(f"{config_path()} names '{helper}' for a credential helper, which is no name. Correct it.")
    program = f"docker-credential-{helper}"
    most_s = Limits.from_environment().timeout_s
    try:
        done = subprocess.run([program, "get"], input=key.encode(), capture_output=True, timeout=most_s, check=False)
    except FileNotFoundError:
        raise StackError(f"{config_path()} names {program}, which is not on PATH. Install it, or correct it.") from None
    except (OSError, subprocess.TimeoutExpired):
        raise StackError(f"{program} gave no answer for '{key}' within {most_s:g} s. Run it by hand.") from None
    if done.returncode:
        if b"not found" in done.stdout + done.stderr:
            return None
        raise StackError(f"{program} failed for '{key}' (exit code {done.returncode}). Run it by hand.")
    try:
        said = json.loads(done.stdout)
        user, secret = str(said["Username"]), str(said["Secret"])
    except (ValueError, KeyError, TypeError):
        raise StackError(f"{program} gave no user and secret for '{key}'. Run it by hand.") from None
    return Credentials(refresh=secret) if user == _TOKEN_USER else Credentials(user, secret)


__all__ = ["Credentials", "config_path", "credentials_of"]
