"""A text in a ConfigMap, for relays: `kubernetes://NAMESPACE/CONFIGMAP`, outside of the cluster with `?context=NAME`.

Without a NAMESPACE it is the context's own. Who reads waits for a change with a watch, so a new text is there at once
and an old one costs two calls in ten seconds.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from pydantic import ValidationError

from rollcast.stacks.base.errors import StackError
from rollcast.stacks.clusters.access import ClusterSettings
from rollcast.stacks.clusters.cluster import Cluster, Object, Ref
from rollcast.stacks.clusters.configmaps import FLAGS, body_of, config_map, refuse_too_long, refuse_unmarked
from rollcast.stacks.clusters.failures import settled

_WATCH_S = 10.0


class PublishedConfigMap:
    """The key `flags.json` of a ConfigMap. Reads flags of the kind `kubernetes` as well as published ones."""

    def __init__(self, url: str, folder: Path) -> None:
        """Raises StackError where the URL names none. Asks no server."""
        parts = urlsplit(url)
        name = parts.path.strip("/")
        query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        if not name or "/" in name or not {*query} <= {"context", "kubeconfig"}:
            raise StackError(f"'{url}' names no ConfigMap. Write kubernetes://NAMESPACE/CONFIGMAP?context=NAME.")
        self.shown = f"kubernetes://{parts.netloc}/{name}"
        try:
            self._settings = ClusterSettings(namespace=parts.netloc, **query)
        except ValidationError:
            raise StackError(f"'{parts.netloc}' in '{url}' is no name of a namespace. Correct it.") from None
        self._folder, self._ref = folder, Ref("v1", "ConfigMap", name)
        self._cluster: Cluster | None = None

    def put(self, text: str) -> None:
        """Replaces the text. Raises StackError."""
        cluster, data = self._open(), {FLAGS: text}
        refuse_too_long(data, self.shown)

        def change() -> None:
            found = cluster.get(self._ref)
            if found is None:
                cluster.create({**config_map(self._ref.name, "published"), "data": data})
            else:
                refuse_unmarked(found, self.shown)
                cluster.replace({**found, "data": {**(found.get("data") or {}), **data}})

        settled(self.shown, change)

    def get(self, seen: str = "") -> tuple[str, str] | None:
        """(version, text), or None where for ten seconds nothing came after the version `seen`. Raises StackError."""
        cluster = self._open()
        if seen:
            for found in cluster.changes(self._ref, seen, _WATCH_S):
                return self._read(found)
        found = cluster.get(self._ref)
        if seen and found is not None and found["metadata"]["resourceVersion"] == seen:
            return None
        return self._read(found)

    def _read(self, found: Object | None) -> tuple[str, str]:
        text = body_of(found, FLAGS) if found is not None else ""
        if found is None or not text:
            raise StackError(f"{self.shown} holds no flags yet. Run 'rollcast apply'.")
        return str(found["metadata"]["resourceVersion"]), text

    def _open(self) -> Cluster:
        if self._cluster is None:
            self._cluster = Cluster(self._settings, self._folder)
        return self._cluster
