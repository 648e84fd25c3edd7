"""A flag that was edited by hand, decoded: which track and audience, what rollcast wrote, and what is found.

It compares a flag with the one that rollcast wrote for the same shares, part by part, in the order in which an
evaluator reads it. What was put there instead of a rule is shown as it stands, and is not guessed at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rollcast.planner.releases.releases import canonical
from rollcast.planner.routing.split import AudienceShares, Router

_LONGEST = 160
_MOST_PATHS = 4


def edits_of(found: Mapping[str, Any], written: Mapping[str, Any], router: Router) -> list[str]:
    """What of a flag is not as rollcast wrote it, each a sentence without its full stop; empty where it is the same."""
    parts = list(_parts(found, written))
    return parts + list(_lines(found.get("targeting"), written["targeting"], router))


def _parts(found: Mapping[str, Any], written: Mapping[str, Any]) -> Iterator[str]:
    if found.get("state") != written["state"]:
        yield f"its state is {found.get('state')}, not {written['state']}"
    if found.get("defaultVariant") != written["defaultVariant"]:
        yield f"its default is {found.get('defaultVariant')}, not {written['defaultVariant']}"
    there = found.get("variants")
    variants: Mapping[str, Any] = there if isinstance(there, Mapping) else {}
    for name in sorted({*variants, *written["variants"]}):
        if name not in variants:
            yield f"{name} was taken away"
        elif name not in written["variants"]:
            yield f"{name} was added"
        else:
            paths = list(_changed(variants[name], written["variants"][name], ""))
            more = f" and {len(paths) - _MOST_PATHS} more" if len(paths) > _MOST_PATHS else ""
            yield from [f"in {name} {', '.join(paths[:_MOST_PATHS])}{more}"] if paths else []


def _changed(found: Any, written: Any, path: str) -> Iterator[str]:
    """The paths at which two values differ, with both."""
    if isinstance(found, Mapping) and isinstance(written, Mapping):
        for key in sorted({*found, *written}):
            place = f"{path}.{key}" if path else str(key)
            if key in found and key in written:
                yield from _changed(found[key], written[key], place)
            else:
                yield f"{place} was {'added' if key in found else 'taken away'}"
    elif found != written:
        yield f"{path or 'its value'} is {_short(found)}, not {_short(written)}"


def _lines(found: Any, written: Any, router: Router) -> Iterator[str]:
    """What differs in the rules: tracks by their routes, in each of them audiences, in each of those the split."""
    for track, route, groups in zip(router.lines, router.routes, router.groups, strict=True):
        if not groups and route is not None:
            continue  # a track that is not released yet has no rule
        if route is None:
            yield from _audiences(track.id, groups, _bare(found), _bare(written))
            return
        links = _link(found)
        if links is None:
            yield f"the rule that chooses channel {track.id} is {_short(found)}, not {_short(written)}"
            return
        wanted = written["if"]
        if links[0] != wanted[0]:
            yield f"channel {track.id} is chosen by {_short(links[0])}, not by {_short(wanted[0])}"
        yield from _audiences(track.id, groups, links[1], wanted[1])
        found, written = links[2], wanted[2]
    if found != written:
        yield f"requests of no channel are served by {_short(found)}, not {_short(written)}"


def _audiences(track: str, groups: tuple[AudienceShares, ...], found: Any, written: Any) -> Iterator[str]:
    for group in groups:
        if group.rule is None:
            yield from _split(track, group.audience, found, written)
            return
        links, wanted = _link(found), written["if"]
        if links is None:
            yield f"the rule for {group.audience} of channel {track} is {_short(found)}, not {_short(written)}"
            return
        if links[0] != wanted[0]:
            yield f"{group.audience} of channel {track} is chosen by {_short(links[0])}, not by {_short(wanted[0])}"
        yield from _split(track, group.audience, links[1], wanted[1])
        found, written = links[2], wanted[2]
    if found != written:
        yield f"whoever is in no audience of channel {track} is served by {_short(found)}, not by {_short(written)}"


def _split(track: str, audience: str, found: Any, written: Any) -> Iterator[str]:
    if found == written:
        return
    now, expected = _shares(found), _shares(written)
    if now is None or expected is None:
        yield f"channel {track} serves {audience} by {_short(found)}, not by {_short(written)}"
    elif now != expected:
        yield f"channel {track} serves {audience} with {_words(now)}, not with {_words(expected)}"
    else:
        yield f"channel {track} divides {audience} by other buckets: {_short(found)}, not {_short(written)}"


def _shares(rule: Any) -> dict[str, float] | None:
    """Percent by variant of a split, as the evaluator divides it; None where it is no split."""
    if isinstance(rule, str):
        return {rule: 100.0}
    parts = rule.get("fractional") if isinstance(rule, Mapping) else None
    if not isinstance(parts, list) or not all(_is_weight(part) for part in parts[1:]):
        return None
    total = sum(weight for _, weight in parts[1:])
    return {name: 100 * weight / total for name, weight in parts[1:]} if total > 0 else None


def _is_weight(part: Any) -> bool:
    return isinstance(part, list) and len(part) == 2 and isinstance(part[0], str) and isinstance(part[1], int | float)


def _link(rule: Any) -> tuple[Any, Any, Any] | None:
    """Condition, then and else of a rule; None where it has another form."""
    parts = rule.get("if") if isinstance(rule, Mapping) and set(rule) == {"if"} else None
    return tuple(parts) if isinstance(parts, list) and len(parts) == 3 else None


def _bare(rule: Any) -> Any:
    """A rule without the condition that is always true, which a flag that names one variant is wrapped in."""
    parts = rule.get("if") if isinstance(rule, Mapping) else None
    return parts[1] if isinstance(parts, list) and len(parts) == 2 and parts[0] is True else rule


def _words(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {percent:.5g} %" for name, percent in shares.items())


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else canonical(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
