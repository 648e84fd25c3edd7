"""What has to be known of a service to test it: how to ask it, and where its answers show what served them.

    pipeline: help-desk
    definition: /srv/live/flags.json       # the file that it reads: rewritten for the test, and put back
    telemetry: /srv/live/telemetry         # its outcomes, as JSON lines
    request: {path: /chat, json: {user: "${key}", message: hello}}
    slow: {path: /chat, json: {user: "${key}", message: "a question that takes a second or more"}}
    stream: {path: /chat, json: {user: "${key}", stream: true}}       # of two seconds or more
    session: {path: /chat, json: {user: "${key}", session: "${session}", message: hello}}
    anonymous: {path: /chat, json: {message: hello}}
    onward: {path: /chat, json: {user: "${key}"}, listen: "127.0.0.1:9100"}   # where its call to another service goes
    answer: {release: "header:x-rollcast-release", body_release: /release, components: /components}
    trusted: false                         # whether it trusts this machine to give a release

`${key}`, `${session}` and `${unique}` are put in. What is left out is not judged, and the report says so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from rollcast.stacks.base.errors import StackError, first_mistake


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ProbeRequest(_Part):
    """One kind of request to the service."""

    path: str = Field(description="below the service's address")
    method: str = "POST"
    headers: dict[str, str] = Field(default_factory=dict)
    body: Any = Field(None, alias="json", description="the JSON body")
    listen: str | None = Field(None, description="of `onward`: HOST:PORT where its call is awaited")


class ProbeAnswer(_Part):
    """Where an answer shows what served it."""

    release: str = Field("header:x-rollcast-release", description="`header:NAME`, or a JSON pointer")
    body_release: str | None = Field(None, description="JSON pointer to the release that made the body")
    components: str | None = Field(None, description="JSON pointer to {slot: name@version}")

    @field_validator("release", "body_release", "components")
    @classmethod
    def _place(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("/", "header:")):
            raise ValueError("write 'header:NAME', or a JSON pointer such as '/release'")
        return value


class Probe(_Part):
    """A service, as its tester sees it."""

    pipeline: str
    definition: Path | None = None
    telemetry: Path | None = None
    request: ProbeRequest
    slow: ProbeRequest | None = None
    stream: ProbeRequest | None = None
    session: ProbeRequest | None = None
    anonymous: ProbeRequest | None = None
    onward: ProbeRequest | None = None
    answer: ProbeAnswer = ProbeAnswer()
    trusted: bool = False


def read_probe(path: Path) -> Probe:
    """A probe from YAML or JSON; its paths are relative to it. Raises StackError naming the key and the remedy."""
    try:
        data = YAML(typ="safe").load(path.read_text("utf-8"))
        found = Probe.model_validate(data)
    except FileNotFoundError:
        raise StackError(f"{path} is not there. Write the probe, or correct --probe.") from None
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise StackError(f"{path} can't be read ({error}). Correct it.") from None
    except ValidationError as error:
        place, said = first_mistake(error, "the file")
        raise StackError(f"{path}: {place}: {said}. Correct the probe.") from None
    paths = {name: path.parent / value for name in ("definition", "telemetry") if (value := getattr(found, name))}
    return found.model_copy(update=paths)


def filled(template: Any, values: dict[str, Any]) -> Any:
    """A template with its placeholders put in; one that is a whole text gives the value itself."""
    if isinstance(template, dict):
        return {name: filled(value, values) for name, value in template.items()}
    if isinstance(template, list):
        return [filled(value, values) for value in template]
    if not isinstance(template, str):
        return template
    for name, value in values.items():
        if template == f"${{{name}}}":
            return value
        template = template.replace(f"${{{name}}}", str(value))
    return template


def pointed(document: Any, pointer: str) -> Any:
    """What a JSON pointer points at; None where there is nothing."""
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(document, dict):
            document = document.get(name)
        elif isinstance(document, list) and name.isdigit() and int(name) < len(document):
            document = document[int(name)]
        else:
            return None
    return document
