"""Dozens of arrays as one pointer: numba structs, built from the named tuples of `layout`.

Passed as tuples, every array would be copied and counted at each call of each function, and compiling would take minutes.
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.experimental import structref

from rollcast.simulator.compiled.layout import Net, State


class _Struct(types.StructRef):  # type: ignore[misc]
    def preprocess_fields(self, fields: Any) -> Any:
        return tuple((name, types.unliteral(kind)) for name, kind in fields)


@structref.register
class NetType(_Struct):
    """The type of a packed `Net`."""


@structref.register
class StateType(_Struct):
    """The type of a packed `State`."""


class PackedNet(structref.StructRefProxy):  # type: ignore[misc]
    """A `Net` for compiled functions."""


class PackedState(structref.StructRefProxy):  # type: ignore[misc]
    """A `State` for compiled functions."""


structref.define_proxy(PackedNet, NetType, list(Net._fields))
structref.define_proxy(PackedState, StateType, list(State._fields))
