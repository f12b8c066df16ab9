"""Templates with values put in: ``{}``, ``{0}``, ``{name}``, ``%s``, ``%(name)s``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from shim.scan.judging import HOLE
from shim.scan.values import Value, join, opaque

_PLACE: Final = re.compile(
    r"\{(?P<name>[\w.]{0,60})(?:[:!][^{}]{0,40})?\}|"
    r"%(?:\((?P<key>\w{1,60})\))?(?:\d\$)?[-+0# ]{0,3}[\d.]{0,5}[sdvqr]"
)


def has_places(template: Value) -> bool:
    """Tell whether a value has places to put values in."""
    return _PLACE.search(template.text) is not None


def places_in(template: Value) -> set[str]:
    """Return the names of the places of a template."""
    names = {place["name"] or place["key"] or "" for place in _PLACE.finditer(template.text)}
    return {name for name in names if name and not name.isdigit()}


def filled(template: Value, values: list[Value], known: Mapping[str, Value]) -> Value:
    """Return a template with values in its places; ``known`` are variables that it may name."""
    parts: list[Value] = []
    at = taken = hole = 0
    named: dict[str, Value] = {}
    for place in _PLACE.finditer(template.text):
        name = place["name"] or place["key"] or ""
        before = template.text[at : place.start()]
        count = before.count(HOLE)
        parts.append(Value(before, template.holes[hole : hole + count]))
        hole += count
        at = place.end()
        if name.isdigit() and int(name) < len(values):
            parts.append(values[int(name)])
        elif name:
            for value in values:
                named.update((label.partition("=")[0].strip(), value) for label in value.holes[:1])
            if name in named:
                parts.append(opaque(named[name].spelled))
            else:
                parts.append(known.get(name, opaque(name)))
        elif taken < len(values):
            parts.append(values[taken])
            taken += 1
        else:
            parts.append(opaque(place[0]))
    parts.append(Value(template.text[at:], template.holes[hole:]))
    joined = join(parts)
    rest = join(values)
    return replace(
        joined,
        keyed=joined.keyed + template.keyed,
        literals=joined.literals | template.literals | rest.literals,
    )
