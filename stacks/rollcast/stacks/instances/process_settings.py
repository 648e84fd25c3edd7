"""What the kind `process` takes: the command of an instance, and how it is started, found ready and ended."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from rollcast.planner.base.errors import did_you_mean
from rollcast.planner.base.values import Seconds
from rollcast.plugins.settings import Settings
from rollcast.stacks.base.secrets import REFERENCE
from rollcast.stacks.instances.variables import named_in

VARIABLES = ("artifact", "host", "port", "release", "component", "pipeline", "instance", "reference")
_PORTS = re.compile(r"^(\d{1,5})(?:\s*-\s*(\d{1,5}))?$")
_NAME = r"^[A-Za-z_][A-Za-z0-9_]*$"


class Ready(Settings):
    """How it is known that an instance can serve: one of three ways, tried again until it answers."""

    http: str | None = Field(None, pattern="^/", description="a path that answers with a status below 400")
    tcp: Literal[True] | None = Field(None, description="its port takes connections; the default")
    command: tuple[str, ...] | None = Field(None, min_length=1, description="a program that ends with status 0")
    timeout: Seconds = Field(60.0, gt=0, description="the provisioning fails where it is not ready by then")
    every: Seconds = Field(0.2, gt=0, description="how long to wait between two looks")

    @model_validator(mode="after")
    def _one_way(self) -> Ready:
        given = [name for name in ("http", "tcp", "command") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} stand there together: give one of them")
        return self


class ProcessSettings(Settings):
    """A local process for each instance, kept running by a supervisor of its own."""

    command: tuple[str, ...] = Field(min_length=1, description="its words, with {artifact}, {port}, {host} and others")
    ports: str | Annotated[int, Field(strict=True)] = Field(
        "21000-21999", description="a port, or a range of them: each instance has one of its own for as long as it is"
    )
    host: str = Field("127.0.0.1", description="the address that it listens at")
    address: str = Field("http://{host}:{port}", description="what the data plane calls it by")
    environment: dict[Annotated[str, Field(pattern=_NAME)], str] = Field(
        default_factory=dict, description="its variables; a secret as ${NAME}, from the environment of 'rollcast apply'"
    )
    directory: str = Field(".", description="where it is started, below the project folder")
    ready: Ready = Ready()
    stop: Seconds = Field(30.0, ge=0, description="how long after SIGTERM it is killed")
    restart: Seconds = Field(0.5, gt=0, description="the pause after a first crash; it doubles up to 30 s")
    path: str = Field(".rollcast/live/processes", description="the folder of its instances")
    logs: str = Field(".rollcast/live/logs", description="the folder of their logs")

    @field_validator("ports")
    @classmethod
    def _are_ports(cls, given: str | int) -> str | int:
        bounds_of(given)
        return given

    @field_validator("path", "logs", "directory")
    @classmethod
    def _is_path(cls, given: str) -> str:
        if "://" in given:
            raise ValueError("it is a path, not an address")
        return given

    @model_validator(mode="after")
    def _known_variables(self) -> ProcessSettings:
        texts = [*self.command, self.address, *self.environment.values(), *(self.ready.command or ())]
        for text in texts:
            for name in named_in(text):
                if name not in VARIABLES:
                    known = ", ".join(f"{{{each}}}" for each in VARIABLES)
                    hint = did_you_mean(name, VARIABLES)
                    raise ValueError(f"'{{{name}}}' is no variable. {hint or f'There are {known}.'} A brace is '{{{{'")
        if any(REFERENCE.search(word) for word in (*self.command, *(self.ready.command or ()))):
            raise ValueError("a command can be read by every user of the machine: give secrets under 'environment'")
        if not any("{port}" in text for text in (*self.command, *self.environment.values())):
            raise ValueError("it has no way to know its port: write '{port}' in the command, or as a variable")
        return self

    @property
    def port_range(self) -> range:
        """The ports that instances may have."""
        first, last = bounds_of(self.ports)
        return range(first, last + 1)


def bounds_of(given: str | int) -> tuple[int, int]:
    """First and last port. Raises ValueError."""
    found = _PORTS.match(str(given))
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 0 < first <= last < 65536:
        raise ValueError("it is a port, or a range like '21000-21999', of ports from 1 to 65535")
    return first, last


__all__ = ["VARIABLES", "ProcessSettings", "Ready"]
