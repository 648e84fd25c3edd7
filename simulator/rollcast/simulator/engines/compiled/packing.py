"""Dozens of arrays as one pointer: numba structs, built from the named tuples of `layout`.

Passed as tuples, every array would be copied and counted at each call of each function; compiling would take minutes.
"""

from __future__ import annotations

from typing import Any, cast

from numba import types
from numba.core import cgutils
from numba.core.imputils import impl_ret_borrowed
from numba.experimental import structref
from numba.extending import lower_getattr_generic

from rollcast.simulator.base.compiling import compiled
from rollcast.simulator.engines.compiled.layout import EngineState, Net


class _Struct(types.StructRef):
    def preprocess_fields(self, fields: Any) -> Any:
        plain = types.unliteral
        return tuple((name, plain(kind)) for name, kind in fields)  # type: ignore[no-untyped-call]


@structref.register
class NetType(_Struct):
    """The type of a packed `Net`."""


@structref.register
class StateType(_Struct):
    """The type of a packed `EngineState`."""


class PackedNet(structref.StructRefProxy):
    """A `Net` for compiled functions."""


class PackedState(structref.StructRefProxy):
    """A `EngineState` for compiled functions."""


structref.define_proxy(PackedNet, NetType, list(Net._fields))  # type: ignore[no-untyped-call]
structref.define_proxy(PackedState, StateType, list(EngineState._fields))  # type: ignore[no-untyped-call]


def _borrowed(context: Any, builder: Any, kind: Any, value: Any, attribute: str) -> Any:
    """Reads a field. numba's own way needs reference counts; here the caller of compiled code holds the arrays.

    The data of a struct is what the fourth word of its memory record points to (numba, nrt.c: NRT_MemInfo).
    """
    proxy: Any = cgutils.create_struct_proxy
    record = proxy(kind)(context, builder, value=value).meminfo
    words = builder.bitcast(record, record.type.as_pointer())
    data = builder.load(builder.gep(words, [context.get_constant(types.intp, 3)]))
    stored = context.data_model_manager[kind.get_data_type()].get_value_type()
    fields = context.make_data_helper(builder, kind.get_data_type(), ref=builder.bitcast(data, stored.as_pointer()))
    lent: Any = impl_ret_borrowed
    return lent(context, builder, kind.field_dict[attribute], getattr(fields, attribute))


_register: Any = lower_getattr_generic
for _kind in (NetType, StateType):
    _register(_kind)(_borrowed)  # the later registration is the one that is used


@compiled
def _net(*fields: Any) -> Any:
    return PackedNet(*fields)  # type: ignore[no-untyped-call]


@compiled
def _state(*fields: Any) -> Any:
    return PackedState(*fields)  # type: ignore[no-untyped-call]


def packed_net(net: Net) -> Net:
    """The network as compiled functions take it: the same fields behind one pointer."""
    return cast(Net, _net(*net))


def packed_state(state: EngineState) -> EngineState:
    """The state as compiled functions take it: the same arrays behind one pointer."""
    return cast(EngineState, _state(*state))
