"""OFREP's answers by flagd's own evaluator: https://github.com/open-feature/protocol, version 0.2.

A flag of rollcast that splits people is never evaluated without a targeting key: everybody without one would be one
person.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode, FlagNotFoundError, OpenFeatureError
from openfeature.flag_evaluation import FlagResolutionDetails, Reason

from rollcast.planner.routing.split import flag_key

_OURS = flag_key("")
Answer = tuple[int, dict[str, Any]]


class OfrepEvaluation:
    """One definition, evaluated."""

    def __init__(self, core: FlagdCore, definition: Mapping[str, Any]) -> None:
        self._core, self._flags = core, definition["flags"]
        self.metadata = {str(key): value for key, value in (definition.get("metadata") or {}).items()}
        self._kinds = {key: _kind(flag) for key, flag in self._flags.items()}
        self._splits = {key for key, flag in self._flags.items() if key.startswith(_OURS) and splits(flag)}

    def one(self, key: str, body: Any) -> Answer:
        """(HTTP status, answer) for one flag."""
        context = _context(body)
        if isinstance(context, str):
            return 400, {"key": key, "errorCode": ErrorCode.INVALID_CONTEXT.value, "errorDetails": context}
        return self._evaluated(key, context)

    def all(self, body: Any) -> Answer:
        """(HTTP status, answer) for every flag that is not switched off."""
        context = _context(body)
        if isinstance(context, str):
            return 400, {"errorCode": ErrorCode.INVALID_CONTEXT.value, "errorDetails": context}
        answers = [self._evaluated(key, context) for key in self._flags]
        return 200, {"flags": [answer for status, answer in answers if status != 404], "metadata": self.metadata}

    def _evaluated(self, key: str, context: EvaluationContext) -> Answer:
        if key in self._splits and not context.targeting_key:
            details = "A targeting key is needed: without one everybody would be one person."
            return 400, {"key": key, "errorCode": ErrorCode.TARGETING_KEY_MISSING.value, "errorDetails": details}
        try:
            found = self._resolve(key, context)
        except FlagNotFoundError:
            return 404, _not_found(key, f"There is no flag '{key}'.")
        except OpenFeatureError as error:
            details = str(error.error_message or error)
            return 400, {"key": key, "errorCode": error.error_code.value, "errorDetails": details}
        except (ValueError, TypeError, KeyError, ArithmeticError, RecursionError) as error:  # of a targeting rule
            return 400, {"key": key, "errorCode": ErrorCode.GENERAL.value, "errorDetails": type(error).__name__}
        if found.reason == Reason.DISABLED:
            return 404, _not_found(key, f"Flag '{key}' is disabled.")
        answer = {"key": key, "reason": str(found.reason), "variant": found.variant, "value": found.value}
        return 200, {**answer, "metadata": dict(found.flag_metadata)}

    def _resolve(self, key: str, context: EvaluationContext) -> FlagResolutionDetails[Any]:
        match self._kinds.get(key):
            case "boolean":
                return self._core.resolve_boolean_value(key, False, context)
            case "string":
                return self._core.resolve_string_value(key, "", context)
            case "integer":
                return self._core.resolve_integer_value(key, 0, context)
            case "float":
                return self._core.resolve_float_value(key, 0.0, context)
            case _:
                return self._core.resolve_object_value(key, {}, context)


def _not_found(key: str, details: str) -> dict[str, Any]:
    return {"key": key, "errorCode": ErrorCode.FLAG_NOT_FOUND.value, "errorDetails": details}


def _context(body: Any) -> EvaluationContext | str:
    """The context of a request, or what is wrong with it."""
    given = body.get("context", {}) if isinstance(body, Mapping) else None
    if not isinstance(given, Mapping):
        return 'The body must be {"context": {"targetingKey": …}}.'
    key = given.get("targetingKey")
    if key is not None and not isinstance(key, str):
        return "'targetingKey' must be a text."
    return EvaluationContext(key, {name: value for name, value in given.items() if name != "targetingKey"})


def splits(flag: Mapping[str, Any]) -> bool:
    """Whether a flag divides people by their bucket."""
    return '"fractional"' in json.dumps(flag.get("targeting"))


def _kind(flag: Mapping[str, Any]) -> str:
    """The type of a flag's values."""
    variants = flag.get("variants")
    values = list(variants.values()) if isinstance(variants, Mapping) else []
    if values and all(isinstance(value, bool) for value in values):
        return "boolean"
    if values and all(isinstance(value, str) for value in values):
        return "string"
    if values and all(isinstance(value, int) for value in values):
        return "integer"
    if values and all(isinstance(value, int | float) for value in values):
        return "float"
    return "object"
