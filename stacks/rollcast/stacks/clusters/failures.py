"""What a cluster answers when it refuses: one message each, with the remedy.

A refusal for lack of a permission carries the rule of a Role that is missing, as YAML.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random

from rollcast.stacks.base.errors import StackError

_CANNOT = re.compile(
    r'User "(?P<user>.*?)" cannot (?P<verb>\w+) resource "(?P<resource>.*?)" in API group "(?P<group>.*?)"'
)
_LONGEST = 500
Result = TypeVar("Result")
TRANSIENT = (429, 502, 503, 504)


class ClusterError(StackError):
    """A cluster refused. Nothing was changed by that call."""


class ConflictError(ClusterError):
    """Somebody else wrote in between, or made it first."""


class UnknownKindError(ClusterError):
    """The cluster knows no such kind of object."""


@dataclass(frozen=True)
class ClusterCall:
    """What was tried: a verb on an object, and where. `shown`: the cluster in words."""

    verb: str
    kind: str
    name: str
    group: str
    resource: str
    namespace: str
    shown: str

    @property
    def what(self) -> str:
        return f"{self.kind} {self.name}".strip()


def settled(shown: str, change: Callable[[], Result], attempts: int = 20) -> Result:
    """What a change gives that looks at the newest state itself: tried again while others write in between.

    Raises ClusterError where they do all the time, and what the change raises besides.
    """
    trying = Retrying(
        retry=retry_if_exception_type(ConflictError), stop=stop_after_attempt(attempts), wait=wait_random(0, 0.2),
        reraise=True,
    )  # fmt: skip
    try:
        return trying(change)
    except ConflictError:
        raise ClusterError(f"{shown} is written by others all the time. Try again.") from None


def refused(status: int, body: str, call: ClusterCall) -> ClusterError:
    """The error that an answer means."""
    said, details = _said(body)
    if status == 401:
        return ClusterError(
            f"{call.shown} does not take these credentials (401). They may have expired: log in again, or renew the "
            "token in the kubeconfig."
        )
    if "admission webhook" in said or "ValidatingAdmissionPolicy" in said:
        return ClusterError(
            f"{call.what} is denied by a rule of the cluster: {said}. Correct the template, or ask whoever keeps that "
            "rule."
        )
    if "exceeded quota" in said:
        return ClusterError(f"{call.what} is over a quota of {call.shown}: {said}. Make room, or raise the quota.")
    if status == 403:
        return _forbidden(said, call)
    if status == 404:
        if details.get("kind") == "namespaces":
            return ClusterError(
                f"{call.shown} is not there. Make it with 'kubectl create namespace {call.namespace}', or correct "
                "'namespace' or 'context'."
            )
        return ClusterError(f"{call.what} is not at {call.shown} ({said}). Run 'rollcast apply'.")
    if status == 409:
        return ConflictError(f"{call.what} was changed by someone else meanwhile ({said}). Run 'rollcast apply' again.")
    if status == 422 and "immutable" in said:
        return ClusterError(
            f"{call.what} can't be changed as the template says: {said}. Take 'in_place' from the component, so that "
            "each version is an object of its own, or delete the object yourself, which interrupts it."
        )
    return ClusterError(f"{call.what} is refused by {call.shown} ({status}): {said}. Correct the template.")


def unreachable(why: Exception, shown: str, tried_s: float) -> ClusterError:
    """The error for a cluster that does not answer at all."""
    said = str(why)
    if "CERTIFICATE" in said.upper() or "SSL" in type(why).__name__.upper() or "SSLError" in said:
        return ClusterError(
            f"{shown} shows a certificate that the kubeconfig does not trust, or speaks no TLS ({_clipped(said)}). "
            "Correct the kubeconfig: its 'server' or 'certificate-authority'."
        )
    reason = getattr(why, "reason", None) or re.sub(r"^.*>: ", "", said) or type(why).__name__
    return ClusterError(
        f"{shown} can't be reached, tried for {tried_s:.0f} s ({_clipped(str(reason))}). Start the cluster, or correct "
        "'context' or 'kubeconfig'; then run it again."
    )


def unknown_kind(api_version: str, kind: str, shown: str) -> UnknownKindError:
    """The error for a kind that the cluster does not know."""
    return UnknownKindError(
        f"{shown} knows no kind {kind} of {api_version}. Install its CustomResourceDefinition, or correct 'apiVersion' "
        "and 'kind' in the template."
    )


def rule(group: str, resources: Sequence[str], verbs: Sequence[str]) -> str:
    """A rule of a Role, as YAML."""
    return f'- apiGroups: ["{group}"]\n  resources: {json.dumps(resources)}\n  verbs: {json.dumps(verbs)}'


def _forbidden(said: str, call: ClusterCall) -> ClusterError:
    found = _CANNOT.search(said)
    if found is None and "is forbidden: User" not in said and "forbidden" in said:
        return ClusterError(f"{call.what} is forbidden at {call.shown}: {said}. Correct the template.")
    user = f"'{found['user']}'" if found else "this user"
    verb, resource, group = (
        (found["verb"], found["resource"], found["group"]) if found else (call.verb, call.resource, call.group)
    )
    return ClusterError(
        f"{user} may not {verb} {resource} at {call.shown}. Add this rule to its Role:\n"
        f"{rule(group, [resource], [verb])}"
    )


def _said(body: str) -> tuple[str, dict[str, Any]]:
    """The words of an answer in one line, and its details."""
    try:
        status = json.loads(body)
        return _clipped(str(status.get("message") or status.get("reason") or "no reason given")), (
            status.get("details") or {}
        )
    except (ValueError, AttributeError):
        return _clipped(body), {}


def _clipped(text: str) -> str:
    line = " ".join(text.split()).rstrip(".")
    return line if len(line) <= _LONGEST else line[:_LONGEST] + "…"


__all__ = [
    "TRANSIENT",
    "ClusterCall",
    "ClusterError",
    "ConflictError",
    "UnknownKindError",
    "refused",
    "rule",
    "settled",
    "unknown_kind",
    "unreachable",
]
