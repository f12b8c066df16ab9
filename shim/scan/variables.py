"""The variables of a text that is read line by line: what gives them values, what takes these.

What a variable holds is known where one assignment is sure to have been the last. Where it is not,
the last one before is taken for everything but the mode: a default, a branch, or a loop may make
that another one.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from shim.scan.judging import HOLE

_LONGEST_VALUE: Final = 2_000
_LONGEST_TEXT: Final = 8_000
_LONGEST_LABEL: Final = 300
_MOST_VALUES: Final = 100
"""Values that are put into one text, those in values included."""
_MOST_GIVEN: Final = 10
_DEEPEST: Final = 6
_VARIABLE: Final = re.compile(
    r"(?P<hole>\x00)|"
    r"\$\{\{\s?(?P<ci>[^{}]{1,80})\}\}|\$\{(?:env:)?(?P<braced>\w{1,60})(?P<default>[^{}]{0,100})\}|\$\((?P<made>\w{1,60})\)|"
    r"\$(?:env:)?(?P<plain>\w{1,60})|%(?P<batch>\w{1,60})%|\$\((?P<run>[^()]{1,120})\)|\{\{(?P<template>[^{}]{1,100})\}\}"
)
_DEFAULT: Final = re.compile(r":?[-=](?P<value>[^{}]{0,100})$")
_WORD: Final = (
    r"(?:\"(?:[^\"\\]|\\.){0,1900}\"|'[^']{0,1900}'|\$\([^()]{0,300}\)|\$\{[^{}]{0,200}\}|\\.|"
    r"[^\s;&|\"'\\()`]){0,1900}"
)
_PIECE: Final = re.compile(r"\"(?P<double>(?:[^\"\\]|\\.)*)\"|'(?P<single>[^']*)'|\\(?P<one>.)")
# What stands where a command begins, or ends a branch or a loop, in the order of a line.
_TOKEN: Final = re.compile(
    r"(?P<turn>(?<![\w-])(?:else|elif)(?![\w-])|;;)|(?P<brace>\{\s{0,9}$)|(?P<param>(?i:\bparam)\s?\()|"
    r"(?P<before>^\s{0,80}|(?:[;|)]|&&|(?<!\$)[({])\s{0,80}|(?<![\w-])(?:then|do|!)\s{1,80}|(?<=else)\s{1,80})"
    r"(?:(?P<open>(?:if|case|for|while|until|select)(?=\s))|(?P<shut>(?:fi|esac|done)\b|[})])|"
    r"(?P<giver>(?:(?:export|local|readonly|declare|typeset|set|setenv|env|ENV|ARG|-)\s{1,8}(?:-\w{1,4}\s{1,4})?)?)"
    rf"(?P<name>[A-Za-z_]\w{{0,60}})(?P<adds>\+?)=(?![=~])(?P<value>\([^()]{{0,1900}}\)|{_WORD}))"
)
_ANOTHER: Final = re.compile(rf"\s{{1,8}}(?P<name>[A-Za-z_]\w{{0,60}})=(?P<value>{_WORD})")
_LOOPS: Final = {"for": "do", "while": "do", "until": "do", "select": "do"}
_OPENS: Final = {"fi": "if", "esac": "case", "done": "do", "}": "{", ")": "("}
_READ: Final = re.compile(
    r"(?<![\w-])(?:for\s{1,4}|getopts\s{1,4}\S{1,80}\s{1,4}|"
    r"read\s{1,4}(?:-\w{1,3}\s{1,4}(?:[\"'][^\"']{0,100}[\"']\s{1,4})?){0,4})(?P<name>[A-Za-z_]\w{0,60})"
)
_ASSIGNED: Final = re.compile(
    r"^\s{0,80}(?:-\s)?(?:(?:export|local|readonly|declare|typeset|set|ENV|ARG|env|def|final|String)\s+(?:-\w+\s+)?)?"
    r"(?:\[[\w.\[\]]{1,40}\]\s{0,4})?@?\$?(?:env:|script:|global:)?(?P<name>[A-Za-z_]\w{0,60})\s?"
    r"(?P<sign>:=|\?=|\+?=|:\s)\s?(?P<value>\S.{0,1900})$"
)
_ASSIGNED_BY_SPACE: Final = re.compile(
    r"^\s{0,80}(?:ENV|set|setenv)\s(?:-\w{1,3}\s)?(?P<name>[A-Za-z_]\w{0,60})\s(?P<value>\S{1,1900})$"
)
_TAIL_COMMENT: Final = re.compile(r"\s#\s.{0,2000}$")
_MODES: Final = re.compile(r"(?i)(?:^|mode=)(?P<mode>cancel|kill|purge)$")
_HOLDS_MODE: Final = re.compile(r"(?i)mode=|^(?:cancel|kill|purge)$")


_Value = tuple[str, list[str]]
"""A text, and a label for each ``HOLE`` in it."""


class Filled(NamedTuple):
    """A text with the values of its variables, with ``HOLE`` and a label for each not known.

    ``otherwise`` are the modes that hold where nobody gives another one.
    """

    text: str
    holes: tuple[str, ...]
    otherwise: frozenset[str]


@dataclass(slots=True)
class _Block:
    """A branch, a loop, a function: its first and its last line, and the one it repeats with."""

    kind: str
    start: int
    end: int | None
    repeats: _Block | None = None

    def holds(self, line: int) -> bool:
        return self.start <= line and (self.end is None or line <= self.end)


_NEVER_SURE: Final = _Block("if", 0, -1)


@dataclass(frozen=True, slots=True)
class _Given:
    """One assignment. ``adds`` to the value before; a ``default`` holds where none is given."""

    value: str
    line: int
    block: _Block | None
    adds: bool = False
    is_default: bool = False

    def is_sure(self, line: int) -> bool:
        """Tell whether it is made whenever a later line is reached."""
        return not self.is_default and (self.block is None or self.block.holds(line))


@dataclass(slots=True)
class _Budget:
    left: int = _MOST_VALUES
    otherwise: set[str] = field(default_factory=set)


class _Place(NamedTuple):
    """Where a text stands that values are put in: on a line, or in the value of an assignment.

    ``own`` is the assignment, by its variable and its number.
    """

    line: int
    budget: _Budget
    depth: int = 0
    own: tuple[str, int] = ("", 0)


def assigned_alone(line: str) -> str | None:
    """Return the name of the variable that a line gives a value, if it does that only."""
    found = _ASSIGNED.match(line) or _ASSIGNED_BY_SPACE.match(line)
    return None if found is None else found["name"]


class Variables:
    """The variables of a text, by its lines."""

    def __init__(self, lines: Iterable[str] = ()) -> None:
        self._given: dict[str, list[_Given]] = {}
        self._repeats: list[_Block | None] = []
        self._on_line: tuple[int, dict[str, tuple[_Value | None, set[str]]]] = (-1, {})
        open_ones: list[_Block] = []
        for number, line in enumerate(lines):
            self._repeats.append(open_ones[-1].repeats if open_ones else None)
            self._learn(line, number, open_ones)

    def put_in(self, text: str, line: int = 0, holes: Sequence[str] = ()) -> Filled:
        """Return ``text``, which stands on a line, with its variables' values.

        ``holes`` are the labels of those that it has already.
        """
        if "$" not in text and "%" not in text and "{{" not in text and HOLE not in text:
            return Filled(text, (), frozenset())
        place = _Place(line, _Budget())
        filled, labels = self._fill(text, place, list(reversed(holes)))
        return Filled(filled, tuple(labels), frozenset(place.budget.otherwise))

    # What gives values.

    def _learn(self, line: str, number: int, open_ones: list[_Block]) -> None:
        begun = False
        for found in _TOKEN.finditer(line):
            at_start = not (found["before"] or "").strip()
            if found["turn"]:
                kind = "case" if found["turn"] == ";;" else "if"
                if open_ones and open_ones[-1].kind == kind:
                    _shut(open_ones, kind, number)
                    _open(open_ones, kind, number)
            elif found["name"]:
                begun = begun or at_start
                self._learn_words(line, found, number, open_ones)
            elif found["shut"]:
                if at_start or found["shut"] not in "})":
                    _shut(open_ones, _OPENS[found["shut"]], number)
            else:
                kind = "{" if found["brace"] else "(" if found["param"] else found["open"]
                _open(open_ones, _LOOPS.get(kind, kind), number)
        for read in _READ.finditer(line):
            self._add(read["name"], _Given(HOLE, number, open_ones[-1] if open_ones else None))
        alone = None if begun else _ASSIGNED.match(line) or _ASSIGNED_BY_SPACE.match(line)
        if alone is not None:
            block = open_ones[-1] if open_ones else None
            sign = alone.groupdict().get("sign") or "="
            is_default = sign == "?=" or (block is not None and block.kind == "(")
            value = _TAIL_COMMENT.sub("", alone["value"]).strip().rstrip(";,").strip()
            if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
                value = value[1:-1]
            given = _Given(value[:_LONGEST_VALUE], number, block, sign == "+=", is_default)
            self._add(alone["name"], given)

    def _learn_words(
        self, line: str, found: re.Match[str], number: int, open_ones: list[_Block]
    ) -> None:
        block = open_ones[-1] if open_ones else None
        if found["before"].strip(" \t;{(") and not found["before"].startswith("do"):
            # Behind && or ||, in an arm, in a branch that is written in one line.
            block = _NEVER_SURE
        is_default = found["giver"].startswith("ARG")
        each: re.Match[str] | None = found
        while each is not None:
            adds = each.groupdict().get("adds") == "+"
            value = _unquoted(each["value"].removeprefix("(").removesuffix(")"))[:_LONGEST_VALUE]
            if line[each.end() : each.end() + 1] in ("(", "`", '"', "'"):
                # It goes on as a word of one line does not.
                value = HOLE
            self._add(each["name"], _Given(value, number, block, adds, is_default))
            each = _ANOTHER.match(line, each.end())

    def _add(self, name: str, given: _Given) -> None:
        self._given.setdefault(name, []).append(given)

    # What takes them.

    def _fill(self, text: str, place: _Place, holes: list[str]) -> _Value:
        """Return ``text`` with values; ``holes`` are the labels that it has, the last one first."""
        parts: list[str] = []
        labels: list[str] = []
        at = length = 0
        for found in _VARIABLE.finditer(text):
            parts.append(text[at : found.start()])
            at = found.end()
            if found["hole"]:
                value, inner = HOLE, [holes.pop() if holes else ""]
            else:
                value, inner = self._value_of(found, place)
            length += len(value)
            if length > _LONGEST_TEXT:
                value, inner = HOLE, [""]
            parts.append(value)
            labels += inner
        return "".join([*parts, text[at:]]), labels

    def _value_of(self, found: re.Match[str], place: _Place) -> _Value:
        names = found.groupdict()
        name = names["braced"] or names["made"] or names["plain"] or names["batch"] or ""
        for source in ("ci", "template"):
            if names[source]:
                name = names[source].strip().rpartition(".")[2]
        place.budget.left -= 1
        if place.budget.left < 0 or place.depth > _DEEPEST:
            return HOLE, [found[0][:_LONGEST_LABEL]]
        known = self._known(name, place) if place.depth else self._known_on(name, place)
        default = _DEFAULT.match(names["default"] or "")
        if known is not None:
            return known
        if default is None:
            return HOLE, [found[0][:_LONGEST_LABEL]]
        inner = place._replace(depth=place.depth + 1)
        return self._unless_told(self._fill(_unquoted(default["value"]), inner, []), place.budget)

    def _known_on(self, name: str, place: _Place) -> _Value | None:
        """Return what a variable holds on a line, which is the same wherever it stands there."""
        if self._on_line[0] != place.line:
            self._on_line = (place.line, {})
        known = self._on_line[1].get(name)
        if known is None:
            budget = _Budget()
            known = self._known(name, _Place(place.line, budget)), budget.otherwise
            self._on_line[1][name] = known
        place.budget.otherwise.update(known[1])
        return known[0]

    def _known(self, name: str, place: _Place) -> _Value | None:
        """Return what a variable holds at a place, or ``None`` where nothing gives it a value."""
        given = self._given.get(name, [])
        chosen, sure = self._chosen(name, given, place)
        if not chosen:
            return None
        values = [self._given_value(name, number, place) for number in chosen]
        texts = {text for text, _ in values}
        if (sure and len(texts) == 1) or not any(map(_HOLDS_MODE.search, texts)):
            return values[0]
        for number, value in zip(chosen, values, strict=True):
            if given[number].is_default:
                self._unless_told(value, place.budget)
        url = next((one for one in values if "invocations" in one[0]), None)
        if url is None:
            # A query that is there, or another, or none.
            return HOLE, ["mode=" if any("mode=" in text for text in texts) else ""]
        path = url[0].partition("?")[0]
        return path + HOLE, [*url[1][: path.count(HOLE)], "mode="]

    def _chosen(self, name: str, given: list[_Given], place: _Place) -> tuple[list[int], bool]:
        """Return the assignments that may have been the last, and whether one is sure to be."""
        is_own = place.own[0] == name
        before = place.own[1] if is_own else bisect_right(given, place.line, key=_line_of)
        chosen: list[int] = []
        sure: _Given | None = None
        for number in range(before - 1, max(-1, before - 1 - _MOST_GIVEN), -1):
            chosen.append(number)
            if given[number].is_sure(place.line):
                sure = given[number]
                break
        repeats = self._repeats[place.line] if place.line < len(self._repeats) else None
        if not is_own and repeats is not None and not (sure and repeats.holds(sure.line)):
            # Whatever is assigned below may have been before this is done, or done again.
            chosen += range(before, min(len(given), before + _MOST_GIVEN))
        return chosen, sure is not None

    def _given_value(self, name: str, number: int, place: _Place) -> _Value:
        one = self._given[name][number]
        if one.value == HOLE or place.depth > _DEEPEST:
            return HOLE, [""]
        text, labels = one.value, list[str]()
        inner = _Place(one.line, place.budget, place.depth + 1, (name, number))
        if "$" in text or "%" in text or "{{" in text:
            text, labels = self._fill(text, inner, [])
        if not one.adds:
            return text, labels
        text_before, labels_before = self._known(name, inner) or ("", [])
        return (text_before + text)[:_LONGEST_TEXT], [*labels_before, *labels]

    def _unless_told(self, given: _Value, budget: _Budget) -> _Value:
        """Return what a default gives: no mode is known by one."""
        value = given[0]
        if not _HOLDS_MODE.search(value):
            return given
        if mode := _MODES.search(value):
            budget.otherwise.add(mode["mode"].lower())
        return HOLE, ["mode=" if "mode=" in value else ""]


def _line_of(one: _Given) -> int:
    return one.line


def _open(open_ones: list[_Block], kind: str, line: int) -> None:
    block = _Block(kind, line, None)
    above = open_ones[-1].repeats if open_ones else None
    block.repeats = block if kind in ("do", "{") else above
    open_ones.append(block)


def _shut(open_ones: list[_Block], kind: str, line: int) -> None:
    """End the innermost block of a kind, and those within it that nothing has ended."""
    depth = next(
        (
            number
            for number, one in enumerate(reversed(open_ones[-_DEEPEST:]), 1)
            if one.kind == kind
        ),
        0,
    )
    for _ in range(depth):
        open_ones.pop().end = line


def _unquoted(value: str) -> str:
    return _PIECE.sub(lambda found: found["double"] or found["single"] or found["one"] or "", value)
