"""An artifact's content as an immutable ConfigMap, where it fits; else its pods have to fetch it themselves."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from rollcast.stacks.base.errors import StackError
from rollcast.stacks.clusters.configmaps import MOST_BYTES
from rollcast.stacks.instances import refuse_no_content


def content_map(content: Path, name: str) -> tuple[dict[str, Any], list[dict[str, str]]] | None:
    """A ConfigMap of all files, and `items` that mount each at its own path; None where they are too many bytes.

    Raises StackError where the folder is no content of an artifact.
    """
    try:
        refuse_no_content(content)
        files = sorted(each for each in content.rglob("*") if each.is_file())
        if sum(each.stat().st_size for each in files) > MOST_BYTES:
            return None
        bodies = {each.relative_to(content).as_posix(): each.read_bytes() for each in files}
    except OSError as error:
        raise StackError(f"{content} can't be read ({error.strerror}). Run 'rollcast apply' again.") from None
    keys = {path: f"f{number}" for number, path in enumerate(bodies)}
    texts: dict[str, str] = {}
    binary: dict[str, str] = {}
    for path, body in bodies.items():
        try:
            texts[keys[path]] = body.decode("utf-8")
        except UnicodeDecodeError:
            binary[keys[path]] = base64.b64encode(body).decode("ascii")
    if sum(len(text.encode()) for text in (*texts.values(), *binary.values())) > MOST_BYTES:
        return None
    made = {
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "immutable": True,
        **({"data": texts} if texts else {}), **({"binaryData": binary} if binary else {}),
    }  # fmt: skip
    return made, [{"key": keys[path], "path": path} for path in bodies]
