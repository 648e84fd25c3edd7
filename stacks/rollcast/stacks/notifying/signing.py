"""Signatures of deliveries, by the Standard Webhooks specification: HMAC-SHA256 over id, time and body.

A receiver computes it again, compares in constant time, and refuses a time that is more than some minutes away, so that
a delivery that somebody recorded can't be sent again later. https://github.com/standard-webhooks/standard-webhooks
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

from rollcast.stacks.base.errors import StackError

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
_PREFIX = "whsec_"
_LEAST_BYTES = 16


def headers_of(ident: str, at_s: int, body: bytes, secret: str | None) -> dict[str, str]:
    """The headers of one try at a time, in seconds since 1970. Without a secret there is no signature.

    Raises StackError on a key that can't be one.
    """
    found = {ID: ident, TIMESTAMP: str(at_s)}
    if secret is not None:
        signed = f"{ident}.{at_s}.".encode() + body
        digest = hmac.new(_key(secret), signed, hashlib.sha256).digest()
        found[SIGNATURE] = f"v1,{base64.b64encode(digest).decode()}"
    return found


def _key(secret: str) -> bytes:
    """What follows `whsec_` is base64, as that specification writes keys; other text is the key itself."""
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True) if secret.startswith(_PREFIX) else None
    except binascii.Error:
        raise StackError("the key to sign with begins with 'whsec_', and no base64 follows; correct it") from None
    key = secret.encode() if key is None else key
    if len(key) < _LEAST_BYTES:
        raise StackError(f"the key to sign with has {len(key)} bytes; make one of at least {_LEAST_BYTES}")
    return key


__all__ = ["ID", "SIGNATURE", "TIMESTAMP", "headers_of"]
