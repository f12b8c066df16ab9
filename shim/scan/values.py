"""What an expression makes, as far as that is known: text, with ``HOLE`` where it is not."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from shim.scan.judging import HOLE, MAYBE, SEP, spelled

_MOST_TEXT: Final = 4_000
LONGEST_LABEL: Final = 300
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_METHOD_NAME: Final = re.compile(
    r"(?i)(?:^|[.:])(?:http_?)?(?:method_?)?(get|head|post|put|patch|delete|options)$"
)
# A part of a path, and no sentence about invocations.
_COLLECTION: Final = re.compile(
    rf"(?:^|[/{HOLE}{SEP}=}}\"'`])invocations(?:$|[/{HOLE}{SEP}?{{%\"'`])"
)
_IN_QUERY: Final = re.compile(rf"^\??(?:[^?&/\s]{{1,200}}&)?mode=(?P<mode>[\w{HOLE}]*)")
_MODE: Final = re.compile(rf"mode=(\w+|{HOLE})")


@dataclass(frozen=True, slots=True)
class Value:
    """The text that an expression makes.

    ``holes`` labels each ``HOLE`` of ``text``.  ``keyed`` is what is passed under a name that
    matters: the mode, the method.  ``literals`` is where the literals in it begin.
    """

    text: str = ""
    holes: tuple[str, ...] = ()
    keyed: tuple[tuple[str, Value], ...] = ()
    literals: frozenset[int] = frozenset()

    @property
    def words(self) -> str:
        """Return all that stands in it, for signs to be looked for."""
        return f"{self.text} {' '.join(self.holes)}"

    def under(self, key: str) -> tuple[Value, ...]:
        """Return what is passed under a key."""
        return tuple(value for name, value in self.keyed if name == key)

    @property
    def spelled(self) -> str:
        """Return the text, or ``HOLE`` and the labels where it is not all known."""
        return spelled(self.text, self.holes)


def join(values: Iterable[Value], by: str = "") -> Value:
    """Return values put together."""
    values = list(values)
    if sum(len(value.text) + len(value.holes) + len(value.keyed) for value in values) > _MOST_TEXT:
        return opaque("")
    return Value(
        by.join(value.text for value in values),
        tuple(hole for value in values for hole in value.holes),
        tuple(pair for value in values for pair in value.keyed),
        frozenset().union(*(value.literals for value in values)),
    )


def opaque(label: str, inner: Value | None = None) -> Value:
    """Return a value that is not known, but for what was passed under a key in it."""
    inner = inner or Value()
    return Value(HOLE, (label[:LONGEST_LABEL],), inner.keyed, inner.literals)


def unless_told(name: str, default: Value) -> Value:
    """Return what a parameter is: its default only where no caller says otherwise."""
    keyed = tuple((key, unless_told(key, value)) for key, value in default.keyed)
    return replace(opaque(f"{name} {MAYBE} {default.spelled}"), keyed=keyed)


def has_route(value: Value) -> bool:
    """Tell whether a value may hold the route's path."""
    return _COLLECTION.search(value.text) is not None


def method_of(value: Value) -> str | None:
    """Return the method that a value names, as ``HttpMethod.Delete`` does, or ``None``."""
    text = value.text.strip()
    if text.upper() in METHODS and not value.holes:
        return text.upper()
    if text == HOLE and len(value.holes) == 1 and not value.keyed:
        # A variable's name comes first, and then what it was given.
        for word in value.holes[0].split()[:4]:
            if (found := _METHOD_NAME.search(word.strip("()"))) is not None:
                return found[1].upper()
    return None


def either(values: list[Value], label: str) -> Value:
    """Return what one of several values is: the same, or a URL with what they differ in unknown."""
    if not values:
        return opaque(label)
    if len({(value.text, value.holes) for value in values}) == 1 and values[0].text != HOLE:
        return replace(values[0], literals=frozenset().union(*(one.literals for one in values)))
    routes = [value for value in values if has_route(value)]
    merged = replace(join(values), keyed=_perhaps(values))
    if not routes:
        known = " ".join(value.text for value in values if value.text != HOLE)
        mark = f" {MAYBE}" if len(values) > 1 else ""
        return opaque(f"{label}{mark} {known} {' '.join(merged.holes)}", merged)
    modes = [_mode_of(value) for value in routes]
    best = max(routes, key=lambda value: "mode=" in value.text)
    if any(mode != modes[0] for mode in modes):
        best = _with_mode(best, " ".join(modes))
    return replace(best, literals=merged.literals)


def _perhaps(values: list[Value]) -> tuple[tuple[str, Value], ...]:
    """Return what is passed under keys; a mode that not all of the values have may be another."""
    pairs = [pair for value in values for pair in value.keyed]
    if all(value.under("mode") for value in values):
        return tuple(pairs)
    return tuple(
        (key, opaque(f"{MAYBE} cancel {value.spelled}") if key == "mode" else value)
        for key, value in pairs
    )


def mode_in_query(query: Value) -> Value | None:
    """Return the mode that a query gives, such as ``mode=kill``, or ``None``."""
    found = _IN_QUERY.search(query.text)
    if found is None:
        return None
    if HOLE not in found["mode"]:
        return Value(found["mode"])
    at = query.text.count(HOLE, 0, found.start("mode"))
    return opaque(query.holes[at] if at < len(query.holes) else "")


def _mode_of(value: Value) -> str:
    """Return the mode of a URL as it is written, or the label of what is put there."""
    found = _MODE.search(value.text)
    if found is None:
        return "cancel"
    at = value.text.count(HOLE, 0, found.start())
    return value.holes[at] if found[1] == HOLE and at < len(value.holes) else found[1]


def _with_mode(value: Value, names: str) -> Value:
    """Return a URL whose mode may be any of several."""
    found = _MODE.search(value.text)
    if found is None:
        return value
    at = value.text.count(HOLE, 0, found.start())
    return replace(
        value,
        text=f"{value.text[: found.start()]}mode={HOLE}{value.text[found.end() :]}",
        holes=(
            *value.holes[:at],
            f"{MAYBE} {names}",
            *value.holes[at + (found[1] == HOLE) :],
        ),
    )
