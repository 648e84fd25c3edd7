"""Rules of a Gateway for the releases of a flag: a request that names its release goes to the Service of its entry.

An HTTPRoute has one rule for each release, matched by header. It is written before a flag names a release, and a rule
stays as long as its Service: who was pinned to a release that is being drained is still led there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field

from rollcast.plugins.settings import Settings
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.clusters.cluster import Cluster, Object, Ref
from rollcast.stacks.clusters.failures import settled
from rollcast.stacks.clusters.marks import MANAGED, MANAGED_BY, RECORD, SCOPE, instance_name, labels_of, owner_in_words

_API, _KIND = "gateway.networking.k8s.io/v1", "HTTPRoute"
_MOST_RULES = 16  # that a route may have
_ATTEMPTS = 10
_NAME = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
Rules = dict[str, str]
"""Release -> name of the Service of its entry."""


class RouteSettings(Settings):
    """Rules of a Gateway, by the header that names a release."""

    gateway: str = Field(pattern=_NAME, description="its name; it is in the namespace of the flags")
    component: str = Field(
        min_length=1, description="the entry of the pipeline, an instance of kind 'kubernetes' there"
    )
    port: int = Field(8080, ge=1, le=65535, description="of its Service")
    hostnames: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (), description="all of the Gateway's, when empty"
    )
    header: str = Field("x-rollcast-release", min_length=1, description="the header that names a release")


class FlagRoutes:
    """The routes of the flags of one place."""

    def __init__(self, settings: RouteSettings, cluster: Cluster, scope: str) -> None:
        self._settings, self._cluster, self._scope = settings, cluster, scope

    def cover(self, key: str, flag: Mapping[str, Any] | None) -> None:
        """Makes every release of a flag reachable, and those that still have a Service. Raises StackError."""
        ref = Ref(_API, _KIND, f"rollcast-{instance_name(key)}")
        settled(f"{ref.shown} at {self._cluster.shown}", lambda: self._cover(ref, flag), _ATTEMPTS)

    def _cover(self, ref: Ref, flag: Mapping[str, Any] | None) -> None:
        found = self._cluster.get(ref)
        if found is not None and labels_of(found).get(MANAGED_BY) != "rollcast":
            raise StackError(
                f"{ref.shown} at {self._cluster.shown} is that of {owner_in_words(found)}, and stays as it is. "
                "Delete it, or choose another namespace."
            )
        rules = {**self._still_there(found), **self._rules_of(flag)}
        if not rules:
            if found is not None:
                self._cluster.delete(ref, found["metadata"]["uid"])
            return
        if len(rules) > _MOST_RULES:
            raise StackError(
                f"{ref.shown} would have {len(rules)} rules, over {_MOST_RULES}: so many releases still have a "
                "Service. Let 'rollcast apply' retire what is drained."
            )
        self._cluster.apply(self._route(ref, rules), found["metadata"]["resourceVersion"] if found else "")

    def _rules_of(self, flag: Mapping[str, Any] | None) -> Rules:
        return dict(self._named(flag)) if flag is not None else {}

    def _named(self, flag: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        for variant in (flag.get("variants") or {}).values():
            parts = variant.get("components") if isinstance(variant, Mapping) else None
            if not isinstance(parts, Mapping):
                continue
            part = parts.get(self._settings.component)
            if part is None:
                raise StackError(
                    f"Release {variant.get('release')} has no component '{self._settings.component}', which the route "
                    f"leads to; it has {', '.join(sorted(parts))}. Correct the component of 'route'."
                )
            yield str(variant["release"]), instance_name(str(part["instance"]))

    def _still_there(self, found: Object | None) -> Rules:
        """The rules of a route whose Service there still is."""
        rules: Rules = {}
        for rule in ((found or {}).get("spec") or {}).get("rules") or ():
            service = rule["backendRefs"][0]["name"]
            if self._cluster.get(Ref("v1", "Service", service)) is not None:
                rules[rule["matches"][0]["headers"][0]["value"]] = service
        return rules

    def _route(self, ref: Ref, rules: Rules) -> Object:
        own = self._settings
        labels, notes = {**MANAGED, RECORD: "route"}, {SCOPE: self._scope}
        return {
            "apiVersion": _API, "kind": _KIND, "metadata": {"name": ref.name, "labels": labels, "annotations": notes},
            "spec": {
                "parentRefs": [{"name": own.gateway}],
                **({"hostnames": list(own.hostnames)} if own.hostnames else {}),
                "rules": [
                    {
                        "matches": [{"headers": [{"name": own.header, "value": release}]}],
                        "backendRefs": [{"name": service, "port": own.port}],
                    }
                    for release, service in sorted(rules.items())
                ],
            },
        }  # fmt: skip
