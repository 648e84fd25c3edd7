"""`flagd`, the default: a flagd definition file, read by the data plane in process or through relays.

Everything is written whole or not at all, under one lock, and only with a current fencing token. Full definitions of
releases are kept beside the file under their digests, so that what is live can be read back and planned from anywhere
that the file can be read.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from rollcast.plugins.settings import Settings
from rollcast.stacks.base import atomic_files
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.base.fences import FolderFence
from rollcast.stacks.flags import Holding
from rollcast.stacks.flags.flag_documents import definition_of, holdings_of, is_of_digest, with_flag, with_holding
from rollcast.stacks.flags.publishing import place_of

_PUBLISHED = (
    "where the flags are written besides, for relays elsewhere: ledger#NAME, a database, s3://… or kubernetes://…"
)


class FlagdSettings(Settings):
    """A flag definition file below the project."""

    definition: str = Field(".rollcast/live/flags.json", description="the file that flagd's providers read")
    publish: tuple[str, ...] = Field((), description=_PUBLISHED, exclude_if=lambda given: not given)

    @property
    def source(self) -> str:
        """Where relays read them."""
        return self.definition


class FlagdTargetSettings(Settings):
    """A flag definition file and a folder of instances, both below the project."""

    definition: str = Field(".rollcast/live/flags.json", description="the file that flagd's providers read")
    instances: str = Field(".rollcast/live/instances", description="the folder of instances")
    publish: tuple[str, ...] = Field(
        (),
        description=_PUBLISHED,
        exclude_if=lambda given: not given,  # a plan of before has the digest that it had
    )

    @property
    def source(self) -> str:
        """Where relays read them."""
        return self.definition

    def parts(self) -> tuple[FlagdSettings, str, dict[str, Any]]:
        """The settings of its flags; kind and settings of its instances."""
        fence = str(Path(self.definition).parent)
        own = FlagdSettings(definition=self.definition, publish=self.publish)
        return own, "folder", {"path": self.instances, "fence": fence}


class FlagdFlags:
    """Flags in a definition file."""

    settings_model = FlagdSettings
    short_form = FlagdTargetSettings

    def __init__(self, settings: FlagdSettings, root: Path, scope: str = "") -> None:
        """`scope`: whose tokens its writes carry. Several projects share a file, and each counts its own."""
        self.definition = root / settings.definition
        self._published = [place_of(url, root) for url in settings.publish]
        self._documents = self.definition.parent / "releases"
        self._fence = FolderFence(self.definition.parent, scope)
        self._holdings = self.definition.parent / ".rollcast-holdings.json"

    @property
    def place(self) -> str:
        return f"flagd:{self.definition.resolve()}"

    # ---- fence --------------------------------------------------------------------------------

    def claim(self, fence: int) -> None:
        with self._fence.held(fence):
            for folder in (self.definition.parent, self._documents):
                for staged in folder.glob(f"{atomic_files.STAGING}*"):
                    if staged.is_file():
                        staged.unlink(missing_ok=True)  # files are only written under the lock that is held here

    def newest(self) -> int:
        return self._fence.newest()

    # ---- flags --------------------------------------------------------------------------------

    def _read(self) -> dict[str, Any]:
        try:
            return definition_of(self.definition.read_text("utf-8"))
        except FileNotFoundError:
            return {"flags": {}}
        except OSError as error:
            raise StackError(f"{self.definition} can't be read ({error.strerror}). Restore it.") from None
        except ValueError as error:
            raise StackError(f"{self.definition} is no flag definition ({error}). Restore it.") from None

    def flag(self, key: str) -> dict[str, Any] | None:
        found = self.flags().get(key)
        return found if isinstance(found, dict) else None

    def flags(self) -> dict[str, Any]:
        found: dict[str, Any] = self._read()["flags"]
        return found

    def put_flag(self, fence: int, key: str, flag: Mapping[str, Any] | None) -> None:
        with self._fence.held(fence):
            text = with_flag(self._read(), key, flag)
            for place in self._published:  # before the file: what is true here was published
                place.put(text)
            atomic_files.write(self.definition, text)

    # ---- who holds what -----------------------------------------------------------------------

    def holdings(self) -> dict[str, Holding]:
        return holdings_of(self._held())

    def _held(self) -> str:
        try:
            return self._holdings.read_text("utf-8")
        except (OSError, UnicodeError):
            return ""

    def put_holding(self, fence: int, pipelines: Collection[str], holding: Holding) -> None:
        with self._fence.held(fence):
            atomic_files.write(self._holdings, with_holding(self._held(), pipelines, holding))

    # ---- definitions --------------------------------------------------------------------------

    def document(self, digest: str) -> Any:
        path = self._documents / f"{digest.removeprefix('sha256:')}.json"
        try:
            text = path.read_text("utf-8")
        except OSError as error:
            raise StackError(f"{path} can't be read ({error.strerror}). Restore it from a backup.") from None
        if not is_of_digest(text, digest):
            raise StackError(f"{path} was changed: it is not what its name says. Restore it from a backup.")
        return json.loads(text)

    def put_document(self, fence: int, digest: str, body: str) -> None:
        path = self._documents / f"{digest.removeprefix('sha256:')}.json"
        if path.exists():
            return
        with self._fence.held(fence):
            atomic_files.write(path, body)
