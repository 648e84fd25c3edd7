"""Keys in PEM files, and what is signed with them: Ed25519, or ECDSA on P-256, P-384 and P-521.

An ECDSA signature is of the hash as long as its curve (SHA-256, 384, 512), as Sigstore and model-signing have it. What
an envelope's signatures are of is DSSE's encoding (https://github.com/secure-systems-lab/dsse/blob/v1.0.2/protocol.md).
`cryptography` is loaded when a key is used.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rollcast.stacks.base.errors import StackError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

    PrivateKey = Ed25519PrivateKey | EllipticCurvePrivateKey
    PublicKey = Ed25519PublicKey | EllipticCurvePublicKey

_KINDS = "Use Ed25519, or ECDSA on P-256."
_CURVES = ("secp256r1", "secp384r1", "secp521r1")


def private_key(path: Path, password: str | None = None) -> PrivateKey:
    """The private key of a PEM file. Raises StackError: it can't be read, or is of another kind."""
    try:
        pem = path.read_bytes()
    except OSError as error:
        raise StackError(f"{path} can't be read ({error.strerror}). Name a private key in PEM form.") from None
    return private_key_in(pem, str(path), password)


def private_key_in(pem: bytes, where: str, password: str | None = None) -> PrivateKey:
    """The private key in a PEM text that was found at `where`. Raises StackError, which never holds the text."""
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError:
        raise StackError("Signing needs the package 'cryptography': pip install 'rollcast[signing]'.") from None
    try:
        key = load_pem_private_key(pem, password.encode() if password else None)
    except (TypeError, ValueError, UnsupportedAlgorithm):
        raise StackError(
            f"{where} is no private key that can be used, or ROLLCAST_KEY_PASSWORD is not its password. "
            "Make one: openssl genpkey -algorithm ed25519 -out key.pem"
        ) from None
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if not isinstance(key, Ed25519PrivateKey | EllipticCurvePrivateKey) or not _is_known(key):
        raise StackError(f"{where} is a key of another kind. {_KINDS}")
    return key


def public_key(path: Path) -> PublicKey:
    """The public key of a PEM file. Raises StackError: it can't be read, or is of another kind."""
    try:
        pem = path.read_bytes()
    except OSError as error:
        raise StackError(f"{path} can't be read ({error.strerror}). Name a public key in PEM form.") from None
    return public_key_in(pem, str(path))


def public_key_in(pem: bytes, where: str) -> PublicKey:
    """The public key in a PEM text that was found at `where`. Raises StackError: it is none, or of another kind."""
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    except ImportError:
        raise StackError("Verifying needs the package 'cryptography': pip install 'rollcast[signing]'.") from None
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise StackError(f"{where} is no public key in PEM form. Export it: openssl pkey -in key.pem -pubout") from None
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if not isinstance(key, Ed25519PublicKey | EllipticCurvePublicKey) or not _is_known(key):
        raise StackError(f"{where} is a key of another kind. {_KINDS}")
    return key


def public_pem(key: PrivateKey) -> str:
    """The public half of a key, in PEM form."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")


def key_id(key: PublicKey) -> str:
    """The SHA-256 of the key itself, in hex, which distinguishes keys and proves nothing."""
    from hashlib import sha256

    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def sign(key: PrivateKey, data: bytes) -> bytes:
    """The signature of some bytes."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return key.sign(data) if isinstance(key, Ed25519PrivateKey) else key.sign(data, _ecdsa(key))


def is_signed(key: PublicKey, signature: bytes, data: bytes) -> bool:
    """Whether this key made a signature of some bytes."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        if isinstance(key, Ed25519PublicKey):
            key.verify(signature, data)
        else:
            key.verify(signature, data, _ecdsa(key))
    except InvalidSignature:
        return False
    return True


def dsse_encoded(payload: bytes, kind: str) -> bytes:
    """DSSE's pre-authentication encoding: what is signed, so that the payload's type can't be exchanged."""
    return b"DSSEv1 %d %b %d %b" % (len(kind.encode()), kind.encode(), len(payload), payload)


def _is_known(key: PrivateKey | PublicKey) -> bool:
    curve = getattr(key, "curve", None)
    return curve is None or curve.name in _CURVES


def _ecdsa(key: EllipticCurvePrivateKey | EllipticCurvePublicKey) -> ECDSA:
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512

    size = key.curve.key_size
    return ECDSA(SHA256() if size == 256 else SHA384() if size == 384 else SHA512())


__all__ = [
    "dsse_encoded",
    "is_signed",
    "key_id",
    "private_key",
    "private_key_in",
    "public_key",
    "public_key_in",
    "public_pem",
    "sign",
]
