"""`kubernetes`: flags in a ConfigMap, which relays read, or pods as a mounted file.

Flags, who holds which pipeline, and the newest fencing token of each scope stand in one object, which is replaced only
as it was read: so a late write never gets through, whenever it comes. Definitions of releases are ConfigMaps of their
own, by digest, which never change.
"""

from __future__ import annotations

import json
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
from rollcast.stacks.clusters.failures import ConflictError, settled
from rollcast.stacks.clusters.marks import notes_of
from rollcast.stacks.flags import Holding
from rollcast.stacks.flags.flag_documents import definition_of, holdings_of, is_of_digest, with_flag, with_holding
from rollcast.stacks.flags.kubernetes_routes import FlagRoutes, RouteSettings

_HOLDINGS = "holdings.json"
_ATTEMPTS = 60


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
        self._cluster = Cluster.for_scope(settings, root, scope)
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
            return int(notes_of(found).get(self._token, 0))
        except ValueError:
            raise StackError(
                f"{self._shown}: its annotation {self._token} is no number. Remove it when no rollout is running."
            ) from None

    def _write(self, fence: int, change: Callable[[dict[str, str]], None]) -> None:
        """Changes the data of the ConfigMap in one step. Raises FenceError, StackError."""
        settled(self._shown, lambda: self._change(fence, change), _ATTEMPTS)

    def _change(self, fence: int, change: Callable[[dict[str, str]], None]) -> None:
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
        notes = {**notes_of(made), self._token: str(fence)}
        made = {**made, "metadata": {**made["metadata"], "annotations": notes}, "data": data}
        self._cluster.replace(made) if found else self._cluster.create(made)

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
            data[FLAGS] = with_flag(self._definition(data), key, flag)

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
        return holdings_of(body_of(found or {}, _HOLDINGS))

    def put_holding(self, fence: int, pipelines: Collection[str], holding: Holding) -> None:
        def change(data: dict[str, str]) -> None:
            data[_HOLDINGS] = with_holding(data.get(_HOLDINGS, ""), pipelines, holding)

        self._write(fence, change)

    # ---- definitions --------------------------------------------------------------------------

    def document(self, digest: str) -> Any:
        ref = _definition_ref(digest)
        found = self._cluster.get(ref)
        if not found:
            raise StackError(f"{ref.shown} is not at {self._cluster.shown}. Restore it from a backup.")
        text = body_of(found)
        if not is_of_digest(text, digest):
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
