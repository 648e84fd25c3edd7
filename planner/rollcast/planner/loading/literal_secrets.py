"""Literal secrets in a declaration: found by what they are called and by what they look like.

A declaration, its flag definition, its plans and its ledger are read by many and kept for ever, so a secret is refused
before any of them holds it. Limits: names in English, and the forms of well-known keys; a secret that is called and
looks like nothing special is not found. The value itself is never part of a message.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from rollcast.planner.base.sources import Path

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_ALWAYS = {"password", "passwd", "passphrase", "secret", "secrets", "credential", "credentials", "apikey"}
_KEYS = {"api", "access", "secret", "private", "auth", "encryption", "signing", "account", "license", "service"}
_TOKENS_OF_TEXT = {"eos", "bos", "pad", "stop", "unk", "sep", "cls", "mask", "special", "end", "start", "image", "tool"}
_REFERENCE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}|(env|vault|secret|aws-sm|gcp-sm|azure-kv|op):\S+")
_LOOKS_LIKE_ONE = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}"
    r"|\bsk-(?=[\w-]*\d)[\w-]{16,}|\bxox[baprs]-[\w-]{10,}|\bAIza[\w-]{35}|\bhf_[A-Za-z0-9]{30,}|://[^/\s:@$]*:[^/\s@$]+@"
)


def literal_secrets(value: Any, path: Path, name: str = "") -> Iterator[tuple[Path, str]]:
    """(path, name) of every literal secret in plain data that is called `name`."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from literal_secrets(inner, (*path, key), str(key))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from literal_secrets(inner, (*path, index), name)
    elif isinstance(value, str):
        if _LOOKS_LIKE_ONE.search(value) or (value and is_secret_name(name) and not _REFERENCE.fullmatch(value)):
            yield path, name
    elif isinstance(value, int | float) and not isinstance(value, bool) and _ALWAYS.intersection(_words(name)[-1:]):
        yield path, name


def is_secret_name(name: str) -> bool:
    """Whether a name says that its value is a secret: its last word does; `api_key_env` and `max_tokens` do not."""
    words = _words(name)
    if not words:
        return False
    before = words[-2] if len(words) > 1 else ""
    return (
        words[-1] in _ALWAYS
        or (words[-1] == "key" and before in _KEYS)
        or (words[-1] == "token" and before not in _TOKENS_OF_TEXT)
    )


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(name)]


__all__ = ["is_secret_name", "literal_secrets"]
