"""A prompt from a registry of prompts, as files: its text or its messages, and what is to be set beside them.

Such registries answer with the whole prompt and state no digest. It is taken here, of the files, at each answer: so a
version that was written over is seen, and so is one whose text includes another prompt that has changed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rollcast.planner.declaration.models import SourcePin
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.registries.transfer import Transfer
from rollcast.stacks.registries.trees import tree_digest

TEXT, MESSAGES, CONFIG, RESPONSE = "prompt.txt", "messages.json", "config.json", "response_format.json"


def prompt_files(prompt: Any, others: Mapping[str, Any], where: str) -> dict[str, bytes]:
    """Name -> content: `prompt.txt` of a text, `messages.json` of a chat, and `others` that hold something, as JSON.

    Raises StackError: it is neither a text nor a list of messages, or empty.
    """
    if not isinstance(prompt, str | list) or not prompt:
        raise StackError(f"{where} answered with no text and no messages. Correct the prompt there.")
    if isinstance(prompt, list) and not all(isinstance(message, dict) for message in prompt):
        raise StackError(f"{where} answered with messages that can't be read. Correct the prompt there.")
    files = {TEXT: _bytes(prompt, where)} if isinstance(prompt, str) else {MESSAGES: _json(prompt, where)}
    return {**files, **{name: _json(value, where) for name, value in others.items() if value}}


def prompt_digest(files: Mapping[str, bytes]) -> str:
    """`sha256:…` of a prompt's files: of their list."""
    return tree_digest([[name, hashlib.sha256(body).hexdigest()] for name, body in sorted(files.items())])


def put_prompt(files: Mapping[str, bytes], pin: SourcePin, into: Path, transfer: Transfer) -> None:
    """Writes the files of a prompt that is what is pinned. Raises StackError: it is not."""
    found = prompt_digest(files)
    if found != pin.digest:
        raise StackError(
            f"{transfer.what}: it has the digest {found[:19]}…, and the lock pins {pin.digest[:19]}…. Nothing of it is "
            "kept. See who changed it there; 'rollcast lock' pins what is there now."
        )
    for name, body in sorted(files.items()):
        transfer.write(transfer.place_for(into, name), [body])


def _json(value: Any, where: str) -> bytes:
    return _bytes(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n", where)


def _bytes(text: str, where: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise StackError(f"{where} answered with half a character. Correct the prompt there.") from None


__all__ = ["CONFIG", "RESPONSE", "prompt_digest", "prompt_files", "put_prompt"]
