"""Property values as plain JSON, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pulumi.provider.experimental.property_value import Computed, PropertyValue

Plain = dict[str, Any]


class UnknownValue(ValueError):
    """A value that is known once another resource is created."""


def plain(values: Mapping[str, PropertyValue]) -> Plain:
    """Property values as JSON. Raises UnknownValue naming the property."""
    return {name: _plain(name, value) for name, value in values.items() if not name.startswith("__")}


def _plain(path: str, value: PropertyValue) -> Any:
    inner = value.value
    if isinstance(inner, Computed):
        raise UnknownValue(path)
    if isinstance(inner, Mapping):
        return {name: _plain(f"{path}.{name}", item) for name, item in inner.items()}
    if isinstance(inner, tuple | list):
        return [_plain(f"{path}[{index}]", item) for index, item in enumerate(inner)]
    return inner


def properties(values: Mapping[str, Any]) -> dict[str, PropertyValue]:
    """JSON as property values."""
    return {name: _property(value) for name, value in values.items()}


def _property(value: Any) -> PropertyValue:
    if isinstance(value, Mapping):
        return PropertyValue({name: _property(item) for name, item in value.items()})
    if isinstance(value, list | tuple):
        return PropertyValue([_property(item) for item in value])
    if isinstance(value, int) and not isinstance(value, bool):
        return PropertyValue(float(value))
    return PropertyValue(value)
