"""Who signed a saved plan: a signature over the digest of all that its file says, with the public key beside it.

The digest says that a file is as it was saved; the signature says by whom. It is of DSSE's encoding of the digest
(https://github.com/secure-systems-lab/dsse/blob/v1.0.2/protocol.md), so that it can't be taken for one of anything
else. Whether the key is one to trust is not decided here: the guardrail `require_signed_plans(keys)` names those.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rollcast.stacks.base.keys import PrivateKey

SIGNATURE = "file_signature"
KEY = "ROLLCAST_SIGNING_KEY"
_TYPE = "application/vnd.rollcast.plan"
_AGAIN = "Nothing was done. Plan again with 'rollcast plan --out FILE --sign', and have that approved."


def signing_key() -> PrivateKey:
    """The key of the environment: a private key in PEM form, or the path of its file. Raises StackError."""
    from rollcast.stacks.base.errors import StackError
    from rollcast.stacks.base.keys import private_key, private_key_in

    stated = os.environ.get(KEY, "").strip()
    if not stated:
        raise StackError(f"--sign needs a key: set {KEY} to a private key in PEM form, or to the path of its file.")
    password = os.environ.get("ROLLCAST_KEY_PASSWORD")
    if stated.startswith("-----BEGIN"):
        return private_key_in(stated.encode(), KEY, password)
    if "\n" in stated or len(stated) > 4096:  # may be a key that was damaged on its way: never shown
        raise StackError(f"{KEY} is neither a private key in PEM form nor a path. Set it to one of the two.")
    return private_key(Path(stated), password)


def signer(key: PrivateKey) -> str:
    """The digest of a key's public half, by which it is trusted."""
    from rollcast.stacks.base.keys import key_id

    return key_id(key.public_key())


def signature_of(key: PrivateKey, digest: str) -> dict[str, str]:
    """What a file holds of a signature over its digest."""
    from base64 import b64encode

    from rollcast.stacks.base.keys import dsse_encoded, public_pem, sign

    made = sign(key, dsse_encoded(digest.encode(), _TYPE))
    return {"public_key": public_pem(key), "signature": b64encode(made).decode("ascii")}


def refuse_forged(path: Path, document: Mapping[str, Any], digest: str) -> None:
    """Raises StaleError where a document is not signed as it says: by the key of `signed_by`, over this digest."""
    from rollcast.stacks.base.errors import StaleError

    stated, found = document.get("signed_by", ""), document.get(SIGNATURE)
    if not stated and found is None:
        return
    if not stated or not isinstance(found, dict):
        raise StaleError(f"{path} lacks its signature, or the key that it says signed it. {_AGAIN}")
    if _signed_by(found, digest) != stated:
        raise StaleError(f"{path} is not signed by the key that it names: its signature is of something else. {_AGAIN}")


def _signed_by(found: Mapping[str, Any], digest: str) -> str:
    """The digest of the key that signed; empty where its signature is not of this digest, or is none."""
    from base64 import b64decode

    from rollcast.stacks.base.errors import StackError
    from rollcast.stacks.base.keys import dsse_encoded, is_signed, key_id, public_key_in

    try:
        key = public_key_in(found["public_key"].encode("ascii"), SIGNATURE)
        made = b64decode(found["signature"], validate=True)
    except (KeyError, ValueError, AttributeError, TypeError):
        return ""
    except StackError as error:
        if "cryptography" in str(error):
            raise
        return ""
    return key_id(key) if is_signed(key, made, dsse_encoded(digest.encode(), _TYPE)) else ""


__all__ = ["KEY", "SIGNATURE", "refuse_forged", "signature_of", "signer", "signing_key"]
