"""What a command saved as JSON, read back; a plan with a digest of all that its file says.

The digest shows that a file was changed after it was saved, by a person or by a tool. It is no signature: who can write
the file can write another digest too. `plan_signature` has the signature, which only the holder of a key can write.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rollcast.cli.inputs.plan_signature import SIGNATURE, refuse_forged, signature_of

if TYPE_CHECKING:
    from rollcast.simulator.forecast.models import Forecast
    from rollcast.stacks.base.keys import PrivateKey

_Saved = TypeVar("_Saved")
DIGEST = "file_digest"


def sealed(document: Mapping[str, Any], key: PrivateKey | None = None) -> dict[str, Any]:
    """A document with the digest of everything else in it, and the signature of a key over that."""
    from rollcast.planner.releases.releases import digest_of

    content = {name: value for name, value in document.items() if name not in (DIGEST, SIGNATURE)}
    digest = digest_of(content)
    return {**content, DIGEST: digest, **({SIGNATURE: signature_of(key, digest)} if key is not None else {})}


def is_sealed(path: Path, document: object) -> bool:
    """Whether a document says its digest. Raises StaleError where that, or a signature, is not of what it says."""
    from rollcast.stacks.base.errors import StaleError

    if not isinstance(document, dict):
        return False
    if DIGEST not in document:
        refuse_forged(path, document, "")
        return False
    stated = document[DIGEST]
    if stated != sealed(document)[DIGEST]:
        raise StaleError(
            f"{path} was changed after it was saved: what it says is not what its digest says. "
            "Nothing was done. Plan again with 'rollcast plan --out FILE', and have that approved."
        )
    refuse_forged(path, document, stated)
    return True


def read_saved(path: Path, parse: Callable[[Any], _Saved], what: str, command: str) -> _Saved:
    """The saved thing. Raises StackError: the file is not `what`, and `command` writes one."""
    import json

    from rollcast.stacks.base.errors import StackError
    from rollcast.stacks.project import read_text

    remedy = f"Save one with 'rollcast {command} --out FILE'."
    text = read_text(path, remedy, saved=True)
    try:
        document = json.loads(text)
        _refuse_newer(path, document, remedy)
        return parse(document)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        first = str(error).splitlines()[0]
        raise StackError(f"{path} is not {what} ({first}). {remedy}") from None


def _refuse_newer(path: Path, document: object, remedy: str) -> None:
    """Raises StackError where a newer version saved it: what it says that is not known here must not be left out."""
    from rollcast.planner.plan.models import FORMAT_VERSION
    from rollcast.stacks.base.errors import StackError
    from rollcast.stacks.project import tool_version

    stated = document.get("format_version") if isinstance(document, dict) else None
    if not isinstance(stated, str) or not re.fullmatch(r"[0-9]{1,9}([.][0-9]{1,9})*", stated):
        return
    own, other = (tuple(int(part) for part in text.split(".")) for text in (FORMAT_VERSION, stated))
    if other > own:
        raise StackError(
            f"{path} has format {stated}: a newer version of rollcast saved it, and this one ({tool_version()}) reads "
            f"format {FORMAT_VERSION}. Use the newer of the two. {remedy}"
        )


def read_forecast(path: Path) -> Forecast:
    """A saved forecast. Raises StackError."""
    from rollcast.simulator.forecast.models import Forecast

    return read_saved(path, Forecast.from_json, "a forecast", "simulate")


__all__ = ["DIGEST", "is_sealed", "read_forecast", "read_saved", "sealed"]
