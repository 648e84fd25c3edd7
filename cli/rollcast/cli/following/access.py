"""Who may ask a controller to look at once: who knows its token, or signs with its secret. Both are in the environment.

`ROLLCAST_CONTROLLER_TOKEN`: as a bearer token, or as GitLab sends it (`X-Gitlab-Token`). `ROLLCAST_CONTROLLER_SECRET`:
what the body is signed with, as GitHub, Gitea and Forgejo do (`X-Hub-Signature-256`). Without both nobody may.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass

TOKEN, SECRET = "ROLLCAST_CONTROLLER_TOKEN", "ROLLCAST_CONTROLLER_SECRET"
_SIGNED = "sha256="


@dataclass(frozen=True)
class SyncAccess:
    """The token and the secret; an empty one admits nobody. `repr` shows neither."""

    token: str = ""
    secret: str = ""

    @classmethod
    def of(cls, environment: Mapping[str, str] = os.environ) -> SyncAccess:
        return cls(environment.get(TOKEN, ""), environment.get(SECRET, ""))

    @property
    def anybody(self) -> bool:
        """Whether there is anybody who may."""
        return bool(self.token or self.secret)

    def allows(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Whether a request may ask; compared in a time that reveals nothing. Names of headers in lower case."""
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        given = [bearer, headers.get("x-gitlab-token", "")]
        if self.token and any(_same(word, self.token) for word in given):
            return True
        signature = headers.get("x-hub-signature-256", "")
        if not self.secret or not signature.startswith(_SIGNED):
            return False
        expected = hmac.new(self.secret.encode(), body, hashlib.sha256).hexdigest()
        return _same(signature.removeprefix(_SIGNED), expected)

    def may_order(self, headers: Mapping[str, str]) -> bool:
        """Whether a request may steer: only with the token, which no code host has to know."""
        return bool(self.token) and _same(headers.get("authorization", "").removeprefix("Bearer "), self.token)

    def __repr__(self) -> str:
        return "SyncAccess(…)"


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode("utf-8", "replace"))


__all__ = ["SyncAccess"]
