"""Generative AI spans of OpenTelemetry, as the OTLP file exporter writes them: one JSON object a line.

Attribute names are those of the semantic conventions (https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-
spans/): gen_ai.usage.input_tokens, gen_ai.usage.output_tokens; the user is user.id (or enduser.id), else session.id,
else gen_ai.conversation.id. vLLM's and SGLang's own names (gen_ai.usage.prompt_tokens and completion_tokens,
gen_ai.latency.time_to_first_token) are read as well. Spans without token usage are no requests to a model and are
left out; so is a span inside another one that has token usage (an agent's call within the agent's own span): both are
one request.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rollcast.simulator.base.errors import TrafficError
from rollcast.simulator.traffic.fields import REMEDY, key, number, timestamp_s, tokens

SpanId = tuple[str, str]  # trace, span
Plain = str | int | float | bool
_INPUT, _OUTPUT = "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"
_OLD_INPUT, _OLD_OUTPUT = "gen_ai.usage.prompt_tokens", "gen_ai.usage.completion_tokens"
_FIRST = (
    "gen_ai.response.time_to_first_chunk", "gen_ai.server.time_to_first_token", "gen_ai.latency.time_to_first_token",
)  # fmt: skip
_ERROR = (2, "STATUS_CODE_ERROR")
_USERS = ("user.id", "enduser.id", "session.id", "gen_ai.conversation.id")
_KEPT: Mapping[str, str] = {
    "cloud.region": "region",
    "gen_ai.request.model": "model",
    "gen_ai.operation.name": "operation",
    "deployment.environment.name": "environment",
}


@dataclass(frozen=True)
class Span:
    """One request to a model."""

    start_s: float
    end_s: float
    first_token_s: float  # NaN where it was not recorded
    input_tokens: int
    output_tokens: int
    key: str
    attributes: Mapping[str, Plain]
    id: SpanId = ("", "")
    failed: bool = False
    place: str = ""


def requests_of(records: Iterable[tuple[str, Mapping[str, Any]]]) -> tuple[list[Span], int]:
    """(the requests of an export, how many spans are inside one of them). Raises TrafficError naming the place.

    A span and its parent may stand in different lines, in any order, with spans of other kinds between them.
    """
    parents: dict[SpanId, SpanId] = {}
    found = [span for place, record in records for span in spans_of(record, place, parents)]
    known = {span.id for span in found if span.id[1]}
    outer = [span for span in found if not _inside(span.id, parents, known)]
    return outer, len(found) - len(outer)


def _inside(one: SpanId, parents: Mapping[SpanId, SpanId], known: Collection[SpanId]) -> bool:
    """Whether some span around this one is a request."""
    seen: set[SpanId] = set()
    while (one := parents.get(one, ("", "")))[1] and one not in seen:
        if one in known:
            return True
        seen.add(one)
    return False


def spans_of(record: Mapping[str, Any], place: str, parents: dict[SpanId, SpanId]) -> Iterator[Span]:
    """The generative AI spans of one exported line; who is around every span of it goes to `parents`.

    Raises TrafficError naming the place.
    """
    try:
        for resource in record.get("resourceSpans", ()):
            shared = _attributes(resource.get("resource", {}).get("attributes", ()))
            for scope in resource.get("scopeSpans", ()):
                for span in scope.get("spans", ()):
                    own = {**shared, **_attributes(span.get("attributes", ()))}
                    if span.get("spanId") and span.get("parentSpanId"):
                        trace = str(span.get("traceId", ""))
                        parents[trace, str(span["spanId"])] = (trace, str(span["parentSpanId"]))
                    if _INPUT in own or _OLD_INPUT in own:
                        yield _span(span, own, place)
    except (AttributeError, TypeError, KeyError, ValueError) as error:
        raise TrafficError(f"{place}: not an OTLP trace export ({error}). {REMEDY}") from None


def _attributes(listed: Any) -> dict[str, Plain]:
    found: dict[str, Plain] = {}
    for attribute in listed:
        for kind, value in attribute["value"].items():
            if kind == "intValue":
                found[attribute["key"]] = int(value)
            elif kind in ("stringValue", "doubleValue", "boolValue"):
                found[attribute["key"]] = value
    return found


def _span(span: Mapping[str, Any], own: Mapping[str, Plain], place: str) -> Span:
    start_s = timestamp_s(span["startTimeUnixNano"], place, "ns")
    end_s = timestamp_s(span["endTimeUnixNano"], place, "ns")
    if end_s < start_s:
        raise TrafficError(f"{place}: a span ends before it starts. {REMEDY}")
    first = next((own[name] for name in _FIRST if name in own), None)
    users = (key(own[name], place) for name in _USERS if name in own)
    user = next(filter(None, users), key(span.get("traceId"), place))
    return Span(
        start_s, end_s, float("nan") if first is None else number(first, place),
        tokens(own.get(_INPUT, own.get(_OLD_INPUT)), place), tokens(own.get(_OUTPUT, own.get(_OLD_OUTPUT, 0)), place),
        user, {label: own[name] for name, label in _KEPT.items() if name in own},
        (str(span.get("traceId", "")), str(span.get("spanId") or "")),
        (span.get("status") or {}).get("code") in _ERROR, place,
    )  # fmt: skip
