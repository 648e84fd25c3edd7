"""What an account may do in a namespace, held against what is needed: all missing rules at once, as YAML of a Role."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rollcast.stacks.clusters.failures import ClusterError, rule

REVIEWS = "authorization.k8s.io/v1"


@dataclass(frozen=True, order=True)
class Permission:
    """A verb on a resource of a group."""

    group: str
    resource: str
    verb: str


def missing_of(needed: Iterable[Permission], rules: Iterable[Mapping[str, Any]]) -> list[Permission]:
    """What no rule of a review grants. A rule for named objects alone does not count: names are only known later."""
    given = [rule for rule in rules if not rule.get("resourceNames")]
    return sorted(each for each in {*needed} if not any(_grants(rule, each) for rule in given))


def unpermitted(missing: Iterable[Permission], shown: str) -> ClusterError:
    """The refusal that lists the rules to add."""
    by_verbs: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    by_resource: dict[tuple[str, str], list[str]] = {}
    for each in missing:
        by_resource.setdefault((each.group, each.resource), []).append(each.verb)
    for (group, resource), verbs in by_resource.items():
        by_verbs.setdefault((group, tuple(verbs)), []).append(resource)
    whole = "\n".join(rule(group, resources, verbs) for (group, verbs), resources in by_verbs.items())
    return ClusterError(f"Permissions are missing at {shown}. Add these rules to the Role of whoever applies:\n{whole}")


def _grants(rule: Mapping[str, Any], wanted: Permission) -> bool:
    parts = {"apiGroups": wanted.group, "resources": wanted.resource, "verbs": wanted.verb}
    return all({value, "*"} & {*(rule.get(key) or ())} for key, value in parts.items())
