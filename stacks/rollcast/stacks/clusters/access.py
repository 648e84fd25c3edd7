"""Which cluster, as whom, and in which namespace: from a kubeconfig, or from the account of the pod that this runs in.

The current context of a kubeconfig is not taken where there are several: `kubectl config use-context` in another window
must not move a release to another cluster.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import Field

from rollcast.planner.base.errors import did_you_mean
from rollcast.plugins.settings import Settings
from rollcast.stacks.base.errors import StackError

_POD = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_NAMESPACE = r"^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)?$"


class ClusterSettings(Settings):
    """A namespace of a cluster."""

    context: str = Field("", description="of the kubeconfig; may be left out where that has one alone, and in a pod")
    namespace: str = Field("", pattern=_NAMESPACE, description="left out: the context's own, or the pod's")
    kubeconfig: str = Field("", description="its path; left out: $KUBECONFIG, ~/.kube/config, or the pod's account")


@dataclass(frozen=True)
class ClusterAccess:
    """A client of one cluster. `shown`: the cluster in words, without a secret."""

    client: Any
    server: str
    namespace: str
    shown: str


def access_to(settings: ClusterSettings, root: Path) -> ClusterAccess:
    """Reads who and where; asks no server. Raises StackError."""
    files = _kubeconfigs(settings.kubeconfig, root)
    if not files and not settings.kubeconfig and (_POD / "token").is_file():
        if settings.context:
            raise StackError(f"Context '{settings.context}' can't be found: a pod has no kubeconfig. Leave it out.")
        own = _in_pod(os.environ.get("KUBERNETES_SERVICE_HOST", ""))
        namespace = settings.namespace or (_POD / "namespace").read_text("utf-8").strip()
    elif not files:
        where = settings.kubeconfig or "$KUBECONFIG and ~/.kube/config"
        raise StackError(f"There is no kubeconfig: {where} is not there. Correct 'kubeconfig', or log in to a cluster.")
    else:
        stamps = tuple(file.stat().st_mtime_ns for file in files)
        own = _opened(os.pathsep.join(map(str, files)), stamps, settings.context)
        namespace = settings.namespace or own.namespace
    return ClusterAccess(own.client, own.server, namespace, f"{own.shown}, namespace {namespace}")


def forget() -> None:
    """Makes the next look read kubeconfigs and tokens again: they may have been renewed."""
    _opened.cache_clear()
    _in_pod.cache_clear()


def _kubeconfigs(given: str, root: Path) -> list[Path]:
    if given:
        path = root / Path(given).expanduser()
        return [path] if path.is_file() else []
    paths = [Path(each) for each in os.environ.get("KUBECONFIG", "").split(os.pathsep) if each]
    return [path for path in paths or [Path("~/.kube/config").expanduser()] if path.is_file()]


@lru_cache(maxsize=32)
def _opened(paths: str, stamps: tuple[int, ...], context: str) -> ClusterAccess:
    """The client of a context. `stamps`: a kubeconfig that was written again is read again."""
    client, config = _library()
    try:
        whole = config.kube_config.KubeConfigMerger(paths).config  # one without a current context is fine
        known = {each.value["name"]: each.value["context"] or {} for each in whole.value["contexts"]}
        if not context and len(known) > 1:
            raise StackError(
                f"{paths} has {len(known)} contexts, and 'context' says none of them. Name one: {', '.join(known)}."
            )
        name = context or next(iter(known))
        if name not in known:
            raise StackError(f"{paths} has no context '{name}'. {did_you_mean(name, known)}")
        configuration = client.Configuration()
        config.load_kube_config(paths, name, configuration, persist_config=False)
    except StackError:
        raise
    except Exception as error:  # of the client or its YAML; what follows 'in' in its message may be a token
        said = str(error).partition(" in ")[0] if isinstance(error, config.ConfigException) else type(error).__name__
        raise StackError(f"The kubeconfig {paths} can't be used ({said}). Correct it, or log in again.") from None
    namespace = str(known[name].get("namespace") or "default")
    return ClusterAccess(
        _client(configuration), configuration.host, namespace, f"{configuration.host} (context '{name}')"
    )


@lru_cache(maxsize=1)
def _in_pod(host: str) -> ClusterAccess:
    client, config = _library()
    configuration = client.Configuration()
    try:
        config.load_incluster_config(client_configuration=configuration)
    except config.ConfigException as error:
        raise StackError(f"The account of this pod can't be used ({error}). Mount its token.") from None
    return ClusterAccess(_client(configuration), configuration.host, "", f"{configuration.host} (this pod's account)")


def _client(configuration: Any) -> Any:
    client, _ = _library()
    configuration.retries = False  # what is tried again is decided in one place, in `cluster`
    configuration.connection_pool_maxsize = 8
    return client.ApiClient(configuration)


def _library() -> tuple[Any, Any]:
    try:
        from kubernetes import client, config
    except ImportError:
        raise StackError(
            "The package 'kubernetes' is not installed. In a clone of rollcast: pip install '.[kubernetes]'."
        ) from None
    return client, config


__all__ = ["ClusterAccess", "ClusterSettings", "access_to", "forget"]
