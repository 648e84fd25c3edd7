"""A token server as docker-registry trusts it: it gives whoever knows a password a signed token for one repository."""

from __future__ import annotations

import base64
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from tests.registries.web import Handler, Web

ISSUER, SERVICE = "tests", "registry"


class TokenServer(Web):
    """user, password: who gets a token. given: the headers that it was asked with."""

    def __init__(self, user: str, password: str) -> None:
        super().__init__()
        self.basic = f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
        self.given: list[str] = []
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, ISSUER)])
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(self._key.public_key())
        dated = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        self._certificate = dated.serial_number(1).sign(self._key, hashes.SHA256())
        self.files["/token"] = b""
        self.misbehaving["/token"] = self._answer

    def auth(self, folder: Path) -> dict[str, Any]:
        """What a registry's configuration says of it."""
        bundle = folder / "roots.pem"
        bundle.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))
        where = f"{self.address}/token"
        return {"token": {"realm": where, "service": SERVICE, "issuer": ISSUER, "rootcertbundle": str(bundle)}}

    def _answer(self, handler: Handler, body: bytes) -> None:
        said = handler.headers.get("authorization", "")
        self.given.append(said)
        if said != self.basic:
            handler.answer(401, b"{}")
            return
        kind, name, actions = parse_qs(urlsplit(handler.path).query)["scope"][0].split(":")
        access = [{"type": kind, "name": name, "actions": actions.split(",")}]
        handler.answer(200, json.dumps({"token": self._signed(access)}).encode())

    def _signed(self, access: list[dict[str, Any]]) -> str:
        chain = base64.b64encode(self._certificate.public_bytes(serialization.Encoding.DER)).decode()
        now = time.time()
        claims = {
            "iss": ISSUER, "sub": "u", "aud": SERVICE, "access": access, "jti": str(now),
            "exp": int(now + 60), "nbf": int(now) - 60, "iat": int(now) - 60,
        }  # fmt: skip
        parts = [
            _packed(json.dumps(each).encode()) for each in ({"typ": "JWT", "alg": "RS256", "x5c": [chain]}, claims)
        ]
        signature = self._key.sign(".".join(parts).encode(), padding.PKCS1v15(), hashes.SHA256())
        return ".".join([*parts, _packed(signature)])


def _packed(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


__all__ = ["TokenServer"]
