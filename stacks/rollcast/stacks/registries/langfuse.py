"""`langfuse:PROMPT/LABEL` or `langfuse:PROMPT/VERSION`: a prompt of a Langfuse project.

A label is pinned to the version that it leads to, and with it the digest of its text or messages and its config, which
is taken at each look: a version that includes another prompt by label becomes something else when that label moves.
Address and keys are those of Langfuse's own tools: LANGFUSE_BASE_URL, LANGFUSE_PUBLIC_KEY, LANGFUSE_SECRET_KEY.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from rollcast.planner.declaration.models import SourcePin
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.registries.http_client import http_client, request
from rollcast.stacks.registries.prompts import CONFIG, prompt_digest, prompt_files, put_prompt
from rollcast.stacks.registries.sources import Found
from rollcast.stacks.registries.transfer import Transfer, leads_out

_SOURCE = re.compile(r"(?P<name>[^#?@|]*[^#?@|/\s])/(?P<at>[A-Za-z0-9][A-Za-z0-9._-]*)")


@dataclass(frozen=True)
class _Version:
    """What Langfuse says of one version of a prompt."""

    number: int
    files: dict[str, bytes]
    includes: tuple[str, ...]


class LangfuseRegistry:
    """Prompts of the project whose keys are in the environment."""

    def mistake(self, rest: str) -> str:
        found = _SOURCE.fullmatch(rest)
        if found is None or leads_out(found["name"]):
            return "names no label or version of a prompt. Write 'langfuse:PROMPT/LABEL' or 'langfuse:PROMPT/VERSION'."
        return ""

    def resolve(self, rest: str, project: Path) -> Found:
        name, at = _parse(rest)
        version = _ask(name, at)
        size = sum(len(body) for body in version.files.values())
        identity = f"langfuse:{name}/{version.number}"
        return Found(identity, prompt_digest(version.files), size, lineage=version.includes)

    def fetch(self, rest: str, pin: SourcePin, into: Path, transfer: Transfer) -> None:
        name, at = _parse(rest)
        put_prompt(_ask(name, at).files, pin, into, transfer)


def _ask(name: str, at: str) -> _Version:
    """A version by its number or label. Raises StackError."""
    address = os.environ.get("LANGFUSE_BASE_URL") or os.environ.get("LANGFUSE_HOST") or "https://cloud.langfuse.com"
    address = address.strip().rstrip("/")
    if not address.startswith(("https://", "http://")):
        raise StackError("LANGFUSE_BASE_URL is no address of http or https. Correct it.")
    keys = (os.environ.get("LANGFUSE_PUBLIC_KEY", ""), os.environ.get("LANGFUSE_SECRET_KEY", ""))
    if not all(keys):
        raise StackError(
            "LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY are not both set. Set them to those of the project."
        )
    host = httpx.URL(address).netloc.decode()
    url = f"{address}/api/public/v2/prompts/{quote(name, safe='')}"
    with http_client(auth=keys) as client:
        answer = request(client, "GET", url, params={"version" if at.isdecimal() else "label": at})
    if answer.status in (401, 403):
        raise StackError(
            f"{host} does not let you read prompts. "
            "Set LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY to those of the project."
        )
    if answer.status == 404:
        raise StackError(f"{host} has no prompt '{name}' with '{at}' in that project. Correct it, or create it there.")
    if answer.status != 200:
        raise StackError(f"{host} answered {answer.status}. Check LANGFUSE_BASE_URL.")
    return _read(answer.json(host), name, at, f"prompt '{name}/{at}': {host}")


def _read(about: Any, name: str, at: str, where: str) -> _Version:
    number = about.get("version") if isinstance(about, dict) else None
    if not isinstance(number, int) or about.get("name") != name or (at.isdecimal() and number != int(at)):
        raise StackError(f"{where} answered with another thing. Check LANGFUSE_BASE_URL.")
    prompt = about.get("prompt")
    if isinstance(prompt, list):
        prompt = [_message(each) for each in prompt]
    return _Version(number, prompt_files(prompt, {CONFIG: about.get("config")}, where), _includes(about, name))


def _message(said: Any) -> Any:
    """A message without what newer servers add to every one: that it is a message."""
    if isinstance(said, dict) and said.get("type") == "chatmessage":
        return {key: value for key, value in said.items() if key != "type"}
    return said


def _includes(about: dict[str, Any], name: str) -> tuple[str, ...]:
    """The prompts that a prompt includes, by version."""
    graph = about.get("resolutionGraph")
    below = graph.get("dependencies") if isinstance(graph, dict) else None
    found = {
        f"langfuse:{one['name']}/{one['version']}"
        for each in (below.values() if isinstance(below, dict) else ())
        for one in (each if isinstance(each, list) else ())
        if isinstance(one, dict) and {"name", "version"} <= one.keys() and one["name"] != name
    }
    return tuple(sorted(found))


def _parse(rest: str) -> tuple[str, str]:
    """The name of a prompt, and its label or version."""
    found = _SOURCE.fullmatch(rest)
    if found is None:
        raise StackError(f"'langfuse:{rest}' names no label or version. Run 'rollcast validate'.")
    return found["name"], found["at"]


__all__ = ["LangfuseRegistry"]
