"""`kubernetes`: flags in a ConfigMap, which relays read, or pods as a mounted file.

Flags, who holds which pipeline, and the newest fencing token of each scope stand in one object, which is replaced only
as it was read: so a late write never gets through, whenever it comes. Definitions of releases are ConfigMaps of their
own, by digest, which never change.
"""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from pydantic import Field

from rollcast.stacks.base.errors import StackError
from rollcast.stacks.base.fences import late_write, scope_mark
from rollcast.stacks.clusters.access import ClusterSettings
from rollcast.stacks.clusters.cluster import Cluster, Object, Ref
from rollcast.stacks.clusters.configmaps import (
    CONFIG_NAME,
    FLAGS,
    body_of,
    config_map,
    refuse_too_long,
    refuse_unmarked,
)
from rollcast.stacks.clusters.failures import ConflictError
from rollcast.stacks.flags import Holding
from rollcast.stacks.flags.flag_documents import definition_of
from rollcast.stacks.flags.kubernetes_routes import FlagRoutes, RouteSettings

_HOLDINGS = "holdings.json"
_ATTEMPTS = 60
_PATIENT_S = 90.0


class KubernetesFlagsSettings(ClusterSettings):
    """A ConfigMap of flags in a namespace."""

    configmap: str = Field("rollcast-flags", pattern=CONFIG_NAME, description="its name; several projects may share it")
    route: RouteSettings | None = Field(
        None,
        description="rules of a Gateway by the header that names a release",
        exclude_if=lambda given: given is None,
    )

    @property
    def source(self) -> str:
        """Where relays read them."""
        given = {key: value for key in ("context", "kubeconfig") if (value := getattr(self, key))}
        return f"kubernetes://{self.namespace}/{self.configmap}" + (f"?{urlencode(given)}" if given else "")


class KubernetesFlags:
    """Flags in a ConfigMap."""

    settings_model = KubernetesFlagsSettings

    def __init__(self, settings: KubernetesFlagsSettings, root: Path, scope: str = "") -> None:
        """`scope`: whose tokens its writes carry. Who writes waits longer for a cluster that does not answer."""
        self._cluster = Cluster(settings, root, **({"patience_s": _PATIENT_S} if scope else {}))
        self._ref = Ref("v1", "ConfigMap", settings.configmap)
        self._routes = FlagRoutes(settings.route, self._cluster, scope) if settings.route else None
        self._token = f"rollcast.dev/fence-{scope_mark(scope) or 'all'}"

    @property
    def place(self) -> str:
        return f"kubernetes:{self._cluster.place}/{self._ref.name}"

    # ---- fence --------------------------------------------------------------------------------

    def claim(self, fence: int) -> None:
        self._write(fence, lambda data: None)

    def newest(self) -> int:
        found = self._cluster.get(self._ref)
        return self._newest(found) if found else 0

    def _newest(self, found: Object) -> int:
        try:
            return int((found["metadata"].get("annotations") or {}).get(self._token, 0))
        except ValueError:
            raise StackError(
                f"{self._shown}: its annotation {self._token} is no number. Remove it when no rollout is running."
            ) from None

    def _write(self, fence: int, change: Callable[[dict[str, str]], None]) -> None:
        """Changes the data of the ConfigMap in one step. Raises FenceError, StackError."""
        for attempt in range(_ATTEMPTS):
            found = self._cluster.get(self._ref)
            if found:
                refuse_unmarked(found, self._shown)
            newest = self._newest(found) if found else 0
            if fence < newest:
                raise late_write(fence, newest)
            data = dict((found or {}).get("data") or {})
            before = dict(data)
            change(data)
            if found and fence == newest and data == before:
                return
            refuse_too_long(data, self._shown)
            made = dict(found) if found else config_map(self._ref.name, FLAGS)
            notes = {**(made["metadata"].get("annotations") or {}), self._token: str(fence)}
            made = {**made, "metadata": {**made["metadata"], "annotations": notes}, "data": data}
            try:
                self._cluster.replace(made) if found else self._cluster.create(made)
                return
            except ConflictError:
                time.sleep(random.uniform(0, 0.02 * min(attempt + 1, 10)))
        raise StackError(f"{self._shown} is written by others all the time. Try again.")

    @property
    def _shown(self) -> str:
        return f"{self._ref.shown} at {self._cluster.shown}"

    # ---- flags --------------------------------------------------------------------------------

    def flag(self, key: str) -> dict[str, Any] | None:
        found = self.flags().get(key)
        return found if isinstance(found, dict) else None

    def flags(self) -> dict[str, Any]:
        found = self._cluster.get(self._ref)
        flags: dict[str, Any] = self._definition((found or {}).get("data") or {})["flags"]
        return flags

    def _definition(self, data: Mapping[str, str]) -> dict[str, Any]:
        if FLAGS not in data:
            return {"flags": {}}
        try:
            return definition_of(data[FLAGS])
        except ValueError as error:
            raise StackError(f"{self._shown} holds no flag definition ({error}). Restore it.") from None

    def put_flag(self, fence: int, key: str, flag: Mapping[str, Any] | None) -> None:
        def change(data: dict[str, str]) -> None:
            whole = self._definition(data)
            flags = {name: value for name, value in whole["flags"].items() if name != key}
            if flag is not None:
                flags[key] = dict(flag)
            data[FLAGS] = json.dumps({**whole, "flags": flags}, indent=1, ensure_ascii=False) + "\n"

        if self._routes is not None:
            self.claim(fence)  # a late driver changes no route either
            if flag is not None:
                self._routes.cover(key, flag)
        self._write(fence, change)
        if self._routes is not None and flag is None:
            self._routes.cover(key, None)

    # ---- who holds what -----------------------------------------------------------------------

    def holdings(self) -> dict[str, Holding]:
        found = self._cluster.get(self._ref)
        return _holdings((found or {}).get("data") or {})

    def put_holding(self, fence: int, pipelines: Collection[str], holding: Holding) -> None:
        def change(data: dict[str, str]) -> None:
            said = {**_holdings(data), **dict.fromkeys(pipelines, holding)}
            body = {name: item.model_dump(mode="json") for name, item in sorted(said.items())}
            data[_HOLDINGS] = json.dumps(body, indent=1, ensure_ascii=False) + "\n"

        self._write(fence, change)

    # ---- definitions --------------------------------------------------------------------------

    def document(self, digest: str) -> Any:
        ref = _definition_ref(digest)
        found = self._cluster.get(ref)
        if not found:
            raise StackError(f"{ref.shown} is not at {self._cluster.shown}. Restore it from a backup.")
        text = body_of(found)
        if "sha256:" + hashlib.sha256(text.encode()).hexdigest() != digest:
            raise StackError(
                f"{ref.shown} at {self._cluster.shown} was changed: it is not what its name says. Restore it from a "
                "backup."
            )
        return json.loads(text)

    def put_document(self, fence: int, digest: str, body: str) -> None:
        ref = _definition_ref(digest)
        if self._cluster.get(ref):
            return
        self.claim(fence)
        made = {**config_map(ref.name, "definition"), "immutable": True, "data": {"body": body}}
        refuse_too_long(made["data"], f"{ref.shown} at {self._cluster.shown}")
        try:
            self._cluster.create(made)
        except ConflictError:
            return  # somebody stored the same


def _definition_ref(digest: str) -> Ref:
    return Ref("v1", "ConfigMap", f"rollcast-definition-{digest.removeprefix('sha256:')[:40]}")


def _holdings(data: Mapping[str, str]) -> dict[str, Holding]:
    try:
        return {str(name): Holding.model_validate(item) for name, item in json.loads(data[_HOLDINGS]).items()}
    except (KeyError, ValueError, AttributeError):
        return {}  # it only says where to go; the marks of flags and instances say whose they are
