"""What is kept in a cluster of each instance: a ConfigMap that says what it holds, of which objects, and how far it is.

It is written first, so that what was begun can be found and removed, and says `ready` last: only then is the instance
there. It is replaced only as it was read.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from rollcast.stacks.base.errors import StackError
from rollcast.stacks.clusters.cluster import Cluster, Object, Ref
from rollcast.stacks.clusters.configmaps import MOST_BYTES, body_of, config_map
from rollcast.stacks.clusters.marks import RECORD, Marks, instance_name
from rollcast.stacks.instances import Placed

_WHAT, _BODY, _MANIFESTS = "instance", "record", "manifests"
_FORMAT = 1


class InstanceState(StrEnum):
    """How far an instance is. `changing`: one that was ready, and is being replaced or put back."""

    MAKING = "making"
    READY = "ready"
    CHANGING = "changing"
    ENDING = "ending"


class ObjectRecord(BaseModel):
    """One object of an instance. `fields`: digest of those that rollcast owns, as they were applied."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    api_version: str
    kind: str
    name: str
    fields: str = ""

    @property
    def ref(self) -> Ref:
        return Ref(self.api_version, self.kind, self.name)


class InstanceBody(BaseModel):
    """What is said of an instance. `mark` and `fence`: the scope and token that wrote it."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    format: int = _FORMAT
    state: InstanceState
    placed: Placed
    mark: str = ""
    fence: int = 0
    parts: tuple[ObjectRecord, ...] = ()


@dataclass(frozen=True)
class InstanceRecord:
    """A record as it was read. `manifests`: the objects of what is ready, to put them back."""

    body: InstanceBody
    manifests: list[dict[str, Any]]
    version: str = ""

    def with_body(self, **changed: Any) -> InstanceRecord:
        return replace(self, body=self.body.model_copy(update=changed))


class InstanceRecords:
    """The records of a namespace."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def all(self) -> list[InstanceRecord]:
        """Raises StackError."""
        return [self._read(item) for item in self._cluster.all_of("v1", "ConfigMap", f"{RECORD}={_WHAT}")]

    def of(self, folder: str) -> InstanceRecord | None:
        """Raises StackError."""
        found = self._cluster.get(_ref(folder))
        return self._read(found) if found else None

    def write(self, record: InstanceRecord, marks: Marks) -> InstanceRecord:
        """Writes a record in the place of the version that it was read as. Raises ConflictError, StackError."""
        base = config_map(_ref(marks.folder).name, _WHAT)
        data = {
            _BODY: json.dumps(record.body.model_dump(mode="json"), sort_keys=True),
            _MANIFESTS: json.dumps(record.manifests, sort_keys=True),
        }
        if sum(map(len, data.values())) > MOST_BYTES:
            raise StackError(
                f"The objects of {marks.folder} are over {MOST_BYTES // 1024} KiB. Make the templates smaller."
            )
        item = marks.on({**base, "data": data})
        if record.version:
            item["metadata"]["resourceVersion"] = record.version
            found = self._cluster.replace(item)
        else:
            found = self._cluster.create(item)
        return replace(record, version=str(found["metadata"]["resourceVersion"]))

    def remove(self, folder: str) -> None:
        """Fine where it is gone. Raises StackError."""
        found = self._cluster.get(_ref(folder))
        if found:
            self._cluster.delete(_ref(folder), found["metadata"]["uid"])

    def _read(self, found: Object) -> InstanceRecord:
        name = found["metadata"]["name"]
        try:
            body = InstanceBody.model_validate_json(body_of(found, _BODY))
            manifests = json.loads(body_of(found, _MANIFESTS))
        except (ValidationError, ValueError) as error:
            raise StackError(
                f"ConfigMap {name} at {self._cluster.shown} can't be read ({str(error).splitlines()[0]}). Restore it, "
                "or delete it with its objects and apply again."
            ) from None
        if body.format > _FORMAT:
            raise StackError(f"ConfigMap {name} was written by a newer version of rollcast. Use that one.")
        return InstanceRecord(body, manifests, str(found["metadata"]["resourceVersion"]))


def _ref(folder: str) -> Ref:
    return Ref("v1", "ConfigMap", f"rollcast-instance-{instance_name(folder)}")


__all__ = ["InstanceBody", "InstanceRecord", "InstanceRecords", "InstanceState", "ObjectRecord"]
