"""Where Pulumi keeps the state of stacks: a folder of the project, or what PULUMI_BACKEND_URL names.

The passphrase of a stack's secrets is PULUMI_CONFIG_PASSPHRASE, else what a file of the project holds that only its
owner can read; it is made where neither is there.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy.engine import make_url

from rollcast.stacks.base.errors import StackError

BACKEND_URL = "PULUMI_BACKEND_URL"
PASSPHRASE = "PULUMI_CONFIG_PASSPHRASE"


def pulumi_folder(root: Path) -> Path:
    """What the engine keeps for a project."""
    return root.resolve() / ".rollcast" / "pulumi"


def passphrase_file(root: Path) -> Path:
    return pulumi_folder(root) / "passphrase"


def own_backend(root: Path) -> str:
    """The project's own place of Pulumi's state, as a URL."""
    return f"file://{pulumi_folder(root) / 'state'}"


def backend_url(root: Path) -> str:
    """The backend that is in use, as a URL, which may hold a password."""
    return os.environ.get(BACKEND_URL) or own_backend(root)


def backend_shown(url: str, root: Path) -> str:
    """A backend as it may be kept and compared: without user, password and query; empty for the project's own."""
    if url == own_backend(root):
        return ""
    parts = urlsplit(url)
    scheme = "postgres" if parts.scheme == "postgresql" else parts.scheme
    return f"{scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def refuse_other_backend(kept: str, root: Path) -> None:
    """Raises StackError where Pulumi's state was carried to `kept`, and would be looked for elsewhere."""
    found = backend_shown(backend_url(root), root)
    if kept and kept != found:
        said = f"{BACKEND_URL} names {found}" if found else f"{BACKEND_URL} isn't set"
        raise StackError(
            f"Pulumi keeps the state of this ledger's stacks at {kept}, and {said}. Set it to that place, with its "
            "user and password. Nothing was changed."
        )


def backend_beside(ledger_url: str) -> str:
    """Pulumi's URL of the database that an SQLAlchemy URL of PostgreSQL names, with its password."""
    return make_url(ledger_url).set(drivername="postgres").render_as_string(hide_password=False)


def engine_variables(url: str, words: str) -> dict[str, str]:
    """The variables by which the engine finds the state that it works on. `words`: the passphrase."""
    return {BACKEND_URL: url, PASSPHRASE: words, "PULUMI_SKIP_UPDATE_CHECK": "true"}


def passphrase(root: Path) -> str:
    """The passphrase that is in use; one is made where there is none."""
    given = os.environ.get(PASSPHRASE)
    if given:
        return given
    path = passphrase_file(root)
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(32))
    except FileExistsError:
        pass
    return path.read_text("ascii")


def keep_passphrase(root: Path, text: str) -> None:
    """Writes the passphrase into the project's file, for its owner alone."""
    path = passphrase_file(root)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
