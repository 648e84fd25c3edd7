"""A real Kubernetes for tests: etcd, the API server and its controllers; pods are played, and run no containers.

Started on free ports of loopback with certificates of its own, and ended by id. Built by `setup.sh`, once a machine.
"""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from tests.stacks.site import free_port

HERE = Path(__file__).parent
ADMIN, RESTRICTED, CONTROLLERS = "admin-token", "restricted-token", "controllers-token"
_RUN_BY = ("deployment", "replicaset", "statefulset", "garbage-collector", "namespace", "resourcequota")
NODE = "node-0"


def programs() -> Path:
    """The folder of the programs that `setup.sh` builds."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    version = re.search(r"^version=(\S+)$", (HERE / "setup.sh").read_text("utf-8"), re.MULTILINE)
    assert version is not None
    place = cache / "rollcast" / "kubernetes" / version[1]
    wanted = ("kube-apiserver", "kube-controller-manager", "httproutes.yaml")
    missing = [name for name in wanted if not (place / name).exists()]
    if missing or shutil.which("etcd") is None:
        pytest.skip(f"{', '.join(missing) or 'etcd'} isn't there; 'make servers' builds and installs it")
    return place


class Asking:
    """Requests to a server as a person would make them, without rollcast."""

    def __init__(self, server: str, authority: Path) -> None:
        self.server = server
        self._context = ssl.create_default_context(cafile=str(authority))

    def ask(self, method: str, path: str, body: Any = None, token: str = ADMIN, kind: str = "application/json") -> Any:
        """The answer. Raises HTTPError."""
        data = json.dumps(body).encode() if body is not None else None
        headers = {"Authorization": f"Bearer {token}", "Content-Type": kind}
        request = urllib.request.Request(self.server + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30, context=self._context) as reply:
            text = reply.read().decode()
        try:
            return json.loads(text)
        except ValueError:
            return text


class ControlPlane(Asking):
    """A running cluster. Contexts of its kubeconfig: `admin`, `restricted`, `expired`, `absent` and `distrusted`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._programs = folder, programs()
        self.port, self._etcd_port = free_port(), free_port()
        _certificates(folder)
        super().__init__(f"https://127.0.0.1:{self.port}", folder / "ca.crt")
        self.kubeconfig = folder / "kubeconfig"
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._made: set[str] = set()
        users = [
            f"{ADMIN},admin,1,system:masters",
            f"{RESTRICTED},restricted,2",
            f"{CONTROLLERS},controllers,3,system:masters",
        ]
        (folder / "tokens.csv").write_text("\n".join(users) + "\n")
        self.kubeconfig.write_text(json.dumps(self._contexts()))
        (folder / "controllers").write_text(json.dumps({**self._contexts(), "current-context": "controllers"}))

    def start(self) -> None:
        """Starts all of it, and returns once a pod could run."""
        self._start("etcd", [
            "etcd", "--data-dir", str(self.folder / "etcd"), "--unsafe-no-fsync",
            "--listen-client-urls", f"http://127.0.0.1:{self._etcd_port}",
            "--advertise-client-urls", f"http://127.0.0.1:{self._etcd_port}",
            "--listen-peer-urls", f"http://127.0.0.1:{free_port()}",
        ])  # fmt: skip
        self.start_api()
        config = str(self.folder / "controllers")
        self._start("kube-controller-manager", [
            str(self._programs / "kube-controller-manager"), f"--kubeconfig={config}", "--leader-elect=false",
            "--controllers=" + ",".join(f"{each}-controller" for each in _RUN_BY), "--secure-port=0",
            "--kube-api-qps=500", "--kube-api-burst=1000", "--concurrent-gc-syncs=5", "--min-resync-period=1h",
        ])  # fmt: skip
        self._start("pods", [
            sys.executable, "-m", "tests.kubernetes.pods", self.server, str(self.folder / "ca.crt"),
        ])  # fmt: skip
        self.ask("POST", "/api/v1/nodes", {
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE},
            "status": {"allocatable": {"cpu": "64", "memory": "256Gi", "pods": "2000"}},
        })  # fmt: skip

    def start_api(self) -> None:
        """Starts the API server alone, and returns once it answers."""
        folder = self.folder
        self._start("kube-apiserver", [
            str(self._programs / "kube-apiserver"), f"--etcd-servers=http://127.0.0.1:{self._etcd_port}",
            f"--secure-port={self.port}", "--bind-address=127.0.0.1", "--endpoint-reconciler-type=none",
            f"--tls-cert-file={folder / 'server.crt'}", f"--tls-private-key-file={folder / 'server.key'}",
            f"--token-auth-file={folder / 'tokens.csv'}", "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc", "--service-cluster-ip-range=10.0.0.0/16",
            f"--service-account-key-file={folder / 'accounts.key'}",
            f"--service-account-signing-key-file={folder / 'accounts.key'}",
            "--disable-admission-plugins=ServiceAccount", "--advertise-address=10.0.0.1", "--profiling=false",
        ])  # fmt: skip
        until = time.monotonic() + 120
        while time.monotonic() < until:
            with suppress(OSError, urllib.error.HTTPError):
                if self.ask("GET", "/readyz") == "ok":
                    return
            time.sleep(0.1)
        raise AssertionError((folder / "kube-apiserver.log").read_text()[-3000:])

    def stop_api(self) -> None:
        """Ends the API server alone; what it keeps stays."""
        self._end("kube-apiserver")

    def stop(self) -> None:
        """Ends what was started, and nothing else."""
        for name in reversed(list(self._running)):
            self._end(name)

    def _start(self, name: str, words: Sequence[str]) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                words, stdout=log, stderr=log, cwd=HERE.parents[1], start_new_session=True
            )

    def _end(self, name: str) -> None:
        process = self._running.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    # ---- what is in it --------------------------------------------------------------------------

    def namespace(self, of: Path | str) -> str:
        """A namespace of its own for a path, made where it is not there."""
        name = "t-" + hashlib.sha256(str(of).encode()).hexdigest()[:12]
        if name not in self._made:
            with suppress(urllib.error.HTTPError):
                body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
                self.ask("POST", "/api/v1/namespaces", body)
            self._made.add(name)
        return name

    def kubectl(self, *words: str, text: str = "") -> str:
        """What `kubectl` prints; it must succeed."""
        done = subprocess.run(
            ["kubectl", f"--kubeconfig={self.kubeconfig}", "--context=admin", *words], input=text or None, text=True,
            capture_output=True, check=False, timeout=60, env={**os.environ, "KUBECONFIG": ""},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _contexts(self) -> dict[str, Any]:
        ca = str(self.folder / "ca.crt")
        clusters = {
            "real": {"server": self.server, "certificate-authority": ca},
            "absent": {"server": f"https://127.0.0.1:{free_port()}", "certificate-authority": ca},
            "distrusted": {"server": self.server},
        }
        tokens = {
            "admin": ADMIN,
            "restricted": RESTRICTED,
            "controllers": CONTROLLERS,
            "expired": "a-token-of-yesterday",
        }
        contexts = {name: ("real", name) for name in tokens} | {
            each: (each, "admin") for each in ("absent", "distrusted")
        }
        return {
            "apiVersion": "v1", "kind": "Config",
            "clusters": [{"name": name, "cluster": body} for name, body in clusters.items()],
            "users": [{"name": name, "user": {"token": token}} for name, token in tokens.items()],
            "contexts": [
                {"name": name, "context": {"cluster": cluster, "user": user, "namespace": "default"}}
                for name, (cluster, user) in contexts.items()
            ],
        }  # fmt: skip


@contextmanager
def control_plane(folder: Path) -> Iterator[ControlPlane]:
    """A cluster, until the block ends."""
    made = ControlPlane(folder)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def manifests(text: str, folder: Path, name: str = "all.yaml") -> None:
    """Writes a template."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, "utf-8")


def documents(text: str) -> list[Mapping[str, Any]]:
    """The objects of a text."""
    return [each for each in yaml.safe_load_all(text) if each]


def _certificates(folder: Path) -> None:
    authority_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    loopback = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    own = _certificate(
        authority, authority, authority_key, authority_key, x509.BasicConstraints(ca=True, path_length=0)
    )
    server = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kube-apiserver")])
    signed = _certificate(server, authority, server_key, authority_key, loopback)
    accounts = rsa.generate_private_key(65537, 2048)
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    form = serialization.PrivateFormat.TraditionalOpenSSL
    (folder / "ca.crt").write_bytes(own.public_bytes(pem))
    (folder / "server.crt").write_bytes(signed.public_bytes(pem))
    (folder / "server.key").write_bytes(server_key.private_bytes(pem, form, plain))
    (folder / "accounts.key").write_bytes(accounts.private_bytes(pem, form, plain))


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey,
    extension: x509.ExtensionType,
) -> x509.Certificate:  # fmt: skip
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1)).add_extension(extension, critical=True)
    )  # fmt: skip
    return builder.sign(signer, hashes.SHA256())
