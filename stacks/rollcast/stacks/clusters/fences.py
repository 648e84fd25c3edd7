"""The fence of a namespace: the newest fencing token of a scope, in a ConfigMap that is replaced only as it was read.

The token is compared before each write, and every write names the version of the object that it replaces. Between the
two calls a newer token can be claimed: a late write can so at most make objects that nobody refers to, which the next
claim removes, or fail.
"""

from __future__ import annotations

from rollcast.stacks.base.errors import StackError
from rollcast.stacks.base.fences import late_write, scope_mark
from rollcast.stacks.clusters.cluster import Cluster, Object, Ref
from rollcast.stacks.clusters.failures import settled
from rollcast.stacks.clusters.marks import MANAGED, RECORD, SCOPE

_TOKEN = "token"


class ClusterFence:
    """The fence of one namespace for one scope."""

    def __init__(self, cluster: Cluster, scope: str = "") -> None:
        self._cluster, self._scope = cluster, scope
        self.mark = scope_mark(scope)
        self._ref = Ref("v1", "ConfigMap", f"rollcast-fence-{self.mark or 'all'}")

    def newest(self) -> int:
        """The newest token that was seen; 0 before there was any. Raises StackError."""
        found = self._cluster.get(self._ref)
        return self._token(found) if found else 0

    def pass_through(self, fence: int) -> None:
        """Returns where a token is not late; one that is newer is remembered. Raises FenceError, StackError."""
        settled(f"{self._ref.shown} at {self._cluster.shown}", lambda: self._remember(fence))

    def _remember(self, fence: int) -> None:
        found = self._cluster.get(self._ref)
        newest = self._token(found) if found else 0
        if fence < newest:
            raise late_write(fence, newest)
        if found is None:
            self._cluster.create(self._first(fence))
        elif fence > newest:
            self._cluster.replace({**found, "data": {_TOKEN: str(fence)}})

    def _first(self, fence: int) -> Object:
        metadata = {
            "name": self._ref.name, "labels": {**MANAGED, RECORD: "fence"}, "annotations": {SCOPE: self._scope},
        }  # fmt: skip
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {_TOKEN: str(fence)}}

    def _token(self, found: Object) -> int:
        try:
            return int((found.get("data") or {})[_TOKEN])
        except (KeyError, ValueError):
            raise StackError(
                f"{self._ref.shown} at {self._cluster.shown} holds no number. Delete it when no rollout is running."
            ) from None
