"""Who may ask a relay: one bearer token for data planes, another for the driver, both from the environment alone."""

from __future__ import annotations

import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass

from rollcast.stacks.base.errors import StackError
from rollcast.stacks.base.listening import is_loopback

DATA_PLANE_TOKEN, DRIVER_TOKEN = "ROLLCAST_RELAY_TOKEN", "ROLLCAST_RELAY_DRIVER_TOKEN"
_LOCAL = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})


@dataclass(frozen=True)
class Access:
    """The tokens; an empty one checks nothing, which only a loopback address may. `repr` shows none of them."""

    data_plane: str = ""
    driver: str = ""

    @classmethod
    def of(cls, host: str, environment: Mapping[str, str] = os.environ) -> Access:
        """From the environment. Raises StackError where an address that others reach would be open to them."""
        found = cls(environment.get(DATA_PLANE_TOKEN, ""), environment.get(DRIVER_TOKEN, ""))
        absent = [
            name for name, token in ((DATA_PLANE_TOKEN, found.data_plane), (DRIVER_TOKEN, found.driver)) if not token
        ]
        if absent and not is_loopback(host):
            raise StackError(
                f"{host} can be reached by others, and {' and '.join(absent)} is not set. Set both tokens in the "
                "environment, or listen at 127.0.0.1."
            )
        if found.driver and found.driver == found.data_plane:
            raise StackError(
                f"{DATA_PLANE_TOKEN} and {DRIVER_TOKEN} are the same, so that every replica could act as the driver. "
                "Give them different values."
            )
        return found

    def allows_data_plane(self, authorization: str, host: str) -> bool:
        """Whether a request may read flags and acknowledge."""
        return _same(self.data_plane, authorization, host)

    def allows_driver(self, authorization: str, host: str) -> bool:
        """Whether a request may read the fleet and ask for warm instances."""
        return _same(self.driver, authorization, host)

    def __repr__(self) -> str:
        return "Access(…)"


def _same(token: str, authorization: str, host: str) -> bool:
    """Compared in a time that reveals nothing. Without a token: only where no other site's name is in the request."""
    if not token:
        return (host.rsplit(":", 1)[0] if not host.endswith("]") else host) in _LOCAL
    return hmac.compare_digest(authorization.encode("utf-8", "replace"), f"Bearer {token}".encode())
