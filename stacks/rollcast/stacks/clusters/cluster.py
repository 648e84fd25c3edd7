"""One namespace of a cluster: objects as plain data, read, applied and removed through the Kubernetes API.

Every call may be made again after a lost answer, and is while a cluster does not answer, until `patience_s` is over.
TLS and credentials are the official client's. Its dynamic client is not used: it looks up all groups of the API before
it does anything, and keeps what it found in a file of the shared temporary folder.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from rollcast.stacks.clusters.access import ClusterSettings, access_to, forget
from rollcast.stacks.clusters.failures import TRANSIENT, ClusterCall, refused, unknown_kind, unreachable
from rollcast.stacks.clusters.permissions import REVIEWS, Permission, missing_of, unpermitted
from rollcast.stacks.clusters.requests import CONNECT_S, JSON, ClusterRequest, is_transient, lines_of, text_of

MANAGER = "rollcast"
PATIENT_S = 90.0
Object = dict[str, Any]
_READ_S, _PAGE = 30.0, 500


@dataclass(frozen=True)
class Ref:
    """Names an object of the namespace."""

    api_version: str
    kind: str
    name: str

    @property
    def group(self) -> str:
        return self.api_version.rpartition("/")[0]

    @property
    def shown(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True)
class KnownKind:
    """A kind of object as the cluster knows it. `path`: of its collection in the namespace."""

    resource: str
    group: str
    namespaced: bool
    base: str


def ref_of(item: Mapping[str, Any]) -> Ref:
    """The name of an object."""
    return Ref(str(item["apiVersion"]), str(item["kind"]), str(item["metadata"]["name"]))


class Cluster:
    """A namespace, and who acts in it. Threads may share it."""

    def __init__(self, settings: ClusterSettings, root: Path, patience_s: float = 3.0) -> None:
        """Asks no server. Raises StackError where kubeconfig or context are not there."""
        self._settings, self._root, self._patience_s = settings, root, patience_s
        self._access = access_to(settings, root)
        self._kinds: dict[tuple[str, str], KnownKind] = {}
        self._lock = threading.Lock()

    @classmethod
    def for_scope(cls, settings: ClusterSettings, root: Path, scope: str) -> Cluster:
        """For whoever writes with the tokens of a scope, and so waits longer; for a reader where that is empty."""
        return cls(settings, root, PATIENT_S) if scope else cls(settings, root)

    @property
    def place(self) -> str:
        """Names the namespace: two objects with one name are in one namespace of one cluster."""
        return f"{self._access.server}/{self.namespace}"

    @property
    def namespace(self) -> str:
        return self._access.namespace

    @property
    def shown(self) -> str:
        return self._access.shown

    # ---- to read ------------------------------------------------------------------------------

    def kind_of(self, api_version: str, kind: str) -> KnownKind:
        """Raises UnknownKindError, ClusterError."""
        key = (api_version, kind)
        if key in self._kinds:
            return self._kinds[key]
        base = f"/api/{api_version}" if "/" not in api_version else f"/apis/{api_version}"
        call = ClusterCall("get", kind, "", api_version.rpartition("/")[0], "", self.namespace, self.shown)
        known = self._ask("GET", base, call, absent={})
        for each in known.get("resources", ()):
            if each["kind"] == kind and "/" not in each["name"]:
                found = KnownKind(each["name"], api_version.rpartition("/")[0], bool(each["namespaced"]), base)
                self._kinds[key] = found
                return found
        raise unknown_kind(api_version, kind, self.shown)

    def get(self, ref: Ref) -> Object | None:
        """An object, where it is there. Raises UnknownKindError, ClusterError."""
        path, call = self._at(ref, "get")
        found: Object = self._ask("GET", path, call, absent={})
        return found or None

    def all_of(self, api_version: str, kind: str, labels: str = "", fields: str = "") -> list[Object]:
        """All objects of a kind with these labels. Raises UnknownKindError, ClusterError."""
        return self._pages(api_version, kind, labels, fields, JSON)

    def heads(self, api_version: str, kind: str, labels: str) -> list[Object]:
        """The same with their metadata alone: content that they hold stays where it is."""
        return self._pages(api_version, kind, labels, "", f"{JSON};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1")

    def _pages(self, api_version: str, kind: str, labels: str, fields: str, accept: str) -> list[Object]:
        path, call = self._at(Ref(api_version, kind, ""), "list")
        query = {"limit": str(_PAGE), **({"labelSelector": labels} if labels else {})}
        query |= {"fieldSelector": fields} if fields else {}
        found: list[Object] = []
        while True:
            page = self._ask("GET", path, call, query, absent={}, accept=accept)
            found += [{**item, "apiVersion": api_version, "kind": kind} for item in page.get("items") or ()]
            rest = (page.get("metadata") or {}).get("continue")
            if not rest:
                return found
            query["continue"] = rest

    def changes(self, ref: Ref, version: str, within_s: float) -> Generator[Object | None, None, None]:
        """Each state of an object after a version, as it comes; None once it is deleted. Ends when the time is over.

        Raises ClusterError. One that is too old ends it at once: look again.
        """
        path, call = self._at(Ref(ref.api_version, ref.kind, ""), "watch")
        query = {
            "watch": "true", "fieldSelector": f"metadata.name={ref.name}", "resourceVersion": version,
            "timeoutSeconds": str(max(1, round(within_s))),
        }  # fmt: skip
        reply = self._send(ClusterRequest("GET", path, query, None, within_s + CONNECT_S, JSON, is_stream=True), call)
        try:
            for line in lines_of(reply):
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return
                yield None if event["type"] == "DELETED" else event["object"]
        except Exception as error:
            if not is_transient(error):
                raise
        finally:
            reply.close()  # what is left unread is not waited for

    def refuse_unpermitted(self, needed: Iterable[Permission]) -> None:
        """Raises ClusterError with all the rules that are missing; passes where the cluster can't say."""
        kind = "SelfSubjectRulesReview"
        body = {"apiVersion": REVIEWS, "kind": kind, "spec": {"namespace": self.namespace}}
        call = ClusterCall(
            "create", kind, "", REVIEWS.partition("/")[0], kind.lower() + "s", self.namespace, self.shown
        )
        status = self._ask("POST", f"/apis/{REVIEWS}/{kind.lower()}s", call, body=body)["status"]
        missing = [] if status.get("incomplete") else missing_of(needed, status["resourceRules"])
        if missing:
            raise unpermitted(missing, self.shown)

    # ---- to write -----------------------------------------------------------------------------

    def apply(self, item: Object, version: str = "", dry_run: bool = False) -> Object:
        """Server-side apply as `rollcast`, which takes the fields over that it names.

        `version`: what must be there; "" where that is not to be compared. Raises ConflictError, ClusterError.
        """
        ref = ref_of(item)
        path, call = self._at(ref, "patch")
        body = {**item, "metadata": {**item["metadata"], "namespace": self.namespace}}
        if version:
            body["metadata"]["resourceVersion"] = version
        query = {"fieldManager": MANAGER, "force": "true", **({"dryRun": "All"} if dry_run else {})}
        found: Object = self._ask("PATCH", path, call, query, body)
        return found

    def create(self, item: Object) -> Object:
        """Makes an object. Raises ConflictError where it is there already, ClusterError."""
        path, call = self._at(Ref(item["apiVersion"], item["kind"], ""), "create", item["metadata"]["name"])
        found: Object = self._ask("POST", path, call, {"fieldManager": MANAGER}, item)
        return found

    def replace(self, item: Object) -> Object:
        """Puts an object in the place of what it was read as. Raises ConflictError where that changed, ClusterError."""
        path, call = self._at(ref_of(item), "update")
        found: Object = self._ask("PUT", path, call, {"fieldManager": MANAGER}, item)
        return found

    def delete(self, ref: Ref, uid: str, after_dependents: bool = False) -> None:
        """Begins to delete what has this identity; fine where it is gone. Raises ConflictError, ClusterError.

        `after_dependents`: the pods of a workload end before it does.
        """
        path, call = self._at(ref, "delete")
        policy = "Foreground" if after_dependents else "Background"
        body = {"propagationPolicy": policy, "preconditions": {"uid": uid}}
        self._ask("DELETE", path, call, {}, body, absent={})

    def _at(self, ref: Ref, verb: str, name: str = "") -> tuple[str, ClusterCall]:
        kind = self.kind_of(ref.api_version, ref.kind)
        middle = f"/namespaces/{self.namespace}" if kind.namespaced else ""
        path = f"{kind.base}{middle}/{kind.resource}" + (f"/{ref.name}" if ref.name else "")
        shown = ref.name or name
        return path, ClusterCall(verb, ref.kind, shown, kind.group, kind.resource, self.namespace, self.shown)

    def _ask(
        self, method: str, path: str, call: ClusterCall, query: Mapping[str, str] | None = None, body: Any = None,
        absent: Any = None, accept: str = JSON,
    ) -> Any:  # fmt: skip
        """The answer as data; `absent` where it is not there, if that is an answer. Raises ClusterError."""
        request = ClusterRequest(method, path, query or {}, body, _READ_S, accept)
        reply = self._send(request, call, absent is not None)
        return absent if reply is None else json.loads(reply.data)

    def _send(self, request: ClusterRequest, call: ClusterCall, may_be_absent: bool = False) -> Any:
        """Asks until there is an answer, the patience is over, or it is refused."""
        began_s = time.monotonic()
        trying = Retrying(
            retry=retry_if_exception(is_transient), stop=stop_after_delay(self._patience_s),
            wait=wait_random_exponential(0.1, max=2.0), reraise=True,
        )  # fmt: skip
        try:
            return trying(self._once, request)
        except Exception as error:
            status = getattr(error, "status", None)
            if status == 404 and may_be_absent:
                return None
            if isinstance(status, int) and status > 0 and status not in TRANSIENT:
                raise refused(status, text_of(error), call) from None
            if is_transient(error) or status == 0:
                raise unreachable(error, self.shown, time.monotonic() - began_s) from None
            raise

    def _once(self, request: ClusterRequest) -> Any:
        access = self._access
        try:
            return request.send(access)
        except Exception as error:
            if getattr(error, "status", None) != 401:
                raise
        with self._lock:  # a token that was renewed meanwhile is used at once
            if self._access is access:
                forget()
                self._access = access_to(self._settings, self._root)
        return request.send(self._access)
