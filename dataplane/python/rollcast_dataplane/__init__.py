"""rollcast-dataplane: each request of an LLM service is served by exactly one release, from its entry to its last byte.

The Python kit of rollcast's data-plane protocol (`spec/`). Read `plane`, then `requests`; `asgi` and `wsgi` put them
into a service, `clients` carry the release on, `course` keeps to time.
"""

from rollcast_dataplane.errors import NoRelease, Refused, RefusedKey, UnknownRelease
from rollcast_dataplane.pins import FilePins, MemoryPins, SignedPins
from rollcast_dataplane.plane import KIT, VERSION, DataPlane
from rollcast_dataplane.releases import ServingRelease
from rollcast_dataplane.requests import ServedRequest, current

__version__ = VERSION

__all__ = [
    "KIT",
    "DataPlane",
    "FilePins",
    "MemoryPins",
    "NoRelease",
    "Refused",
    "RefusedKey",
    "ServedRequest",
    "ServingRelease",
    "SignedPins",
    "UnknownRelease",
    "current",
]
