"""A thousand instances in one cluster: how long, how many calls, how much memory.

Run: python benchmarks/clusters.py [N]. A real API server and etcd, as tests start them; an instance is a Service. Made
sixteen at a time, as the engine does, and read back. Exits 1 where that takes over a minute, the memory of this process
is over 500 MiB, or an instance takes more than 12 calls.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from rollcast.stacks.clusters.cluster import Cluster
from rollcast.stacks.instances import InstanceSpec, Placed, Provisioning
from rollcast.stacks.instances.kubernetes import KubernetesInstances
from rollcast.stacks.instances.kubernetes_settings import KubernetesInstancesSettings
from tests.instances.programs import content, placed
from tests.kubernetes.control_plane import control_plane, manifests

SERVICE = 'apiVersion: v1\nkind: Service\nmetadata: {name: "{{ name }}"}\nspec: {ports: [{port: 8080}]}\n'
MOST_S, MOST_MIB, MOST_CALLS = 60.0, 500, 12


def main(count: int) -> int:
    """Prints what it took; 1 where it was too much."""
    calls = [0]
    plain = Cluster._once

    def counted(self: Cluster, request: Any) -> Any:
        calls[0] += 1
        return plain(self, request)

    Cluster._once = counted  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as folder, control_plane(Path(folder)) as cluster:
        root = Path(folder) / "project"
        manifests(SERVICE, root / "k8s")
        settings = KubernetesInstancesSettings(
            kubeconfig=str(cluster.kubeconfig), context="admin", namespace=cluster.namespace(root), templates="k8s"
        )
        made, body = KubernetesInstances(settings, root), content(root, "one")

        def put(each: Placed) -> None:
            made.put_instance(1, each, body, InstanceSpec(), Provisioning())

        put(placed("one", 0))
        calls[0], began_s = 0, time.monotonic()
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(put, [placed("one", number) for number in range(1, count)]))
        made_s, each = time.monotonic() - began_s, calls[0] / (count - 1)
        calls[0], began_s = 0, time.monotonic()
        found = len(made.placed()) - len(made.down())
        read_s, mib = time.monotonic() - began_s, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{found} instances in {made_s:.1f} s, {each:.1f} calls each; read back in {read_s:.2f} s, {calls[0]} calls")
    print(f"{mib} MiB")
    return int(made_s > MOST_S * count / 1000 or mib > MOST_MIB or each > MOST_CALLS or found != count)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
