"""The variables of a text that is read line by line: what gives them values, what takes these."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from shim.scan.judging import HOLE

_LONGEST_VALUE: Final = 2_000
_VARIABLE: Final = re.compile(
    r"\$\{\{\s?(?P<ci>[^{}]{1,80})\}\}|\$\{(?:env:)?(?P<braced>\w{1,60})(?P<default>[^{}]{0,100})\}|\$\((?P<made>\w{1,60})\)|"
    r"\$(?:env:)?(?P<plain>\w{1,60})|%(?P<batch>\w{1,60})%|\$\((?P<run>[^()]{1,120})\)|\{\{(?P<template>[^{}]{1,100})\}\}"
)
_DEFAULT: Final = re.compile(r":?[-=](?P<value>[^{}]{0,100})$")
ASSIGNED: Final = re.compile(
    r"^\s{0,80}(?:-\s)?(?:(?:export|local|readonly|declare|typeset|set|ENV|ARG|env|def|final|String)\s+(?:-\w+\s+)?)?"
    r"\$?(?:env:|script:|global:)?(?P<name>[A-Za-z_]\w{0,60})\s?(?::=|\?=|=|:\s)\s?(?P<value>\S.{0,1900})$"
)
ASSIGNED_BY_SPACE: Final = re.compile(
    r"^\s{0,80}(?:ENV|set|setenv)\s(?:-\w{1,3}\s)?(?P<name>[A-Za-z_]\w{0,60})\s(?P<value>\S{1,1900})$"
)
TAIL_COMMENT: Final = re.compile(r"\s#\s.{0,2000}$")


@dataclass
class Variables:
    """The variables that lines above have given a value."""

    values: dict[str, str] = field(default_factory=dict)

    def learn(self, line: str) -> None:
        """Keep what a line assigns."""
        found = ASSIGNED.match(line) or ASSIGNED_BY_SPACE.match(line)
        if found is None:
            return
        value = TAIL_COMMENT.sub("", found["value"]).strip().rstrip(";").strip()
        if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        self.values[found["name"]] = value[:_LONGEST_VALUE]

    def put_in(self, text: str, depth: int = 0) -> tuple[str, tuple[str, ...]]:
        """Return ``text`` with its variables' values, and a label for each that is not known."""
        holes: list[str] = []

        def value_of(found: re.Match[str]) -> str:
            names = found.groupdict()
            name = names["braced"] or names["made"] or names["plain"] or names["batch"] or ""
            for source in ("ci", "template"):
                if names[source]:
                    name = names[source].strip().rpartition(".")[2]
            known = self.values.get(name)
            default = _DEFAULT.match(names["default"] or "")
            if known is None and default is not None:
                known = default["value"]
            if known is None or depth > 4 or len(holes) > 40:
                holes.append(f"{found[0]} {known or ''}"[:300])
                return HOLE
            # A variable that is given its own value has none that is known.
            others = {one: value for one, value in self.values.items() if one != name}
            inner, more = Variables(others).put_in(known, depth + 1)
            holes.extend(more)
            return inner

        if "$" not in text and "%" not in text and "{{" not in text:
            return text, ()
        return _VARIABLE.sub(value_of, text)[: 4 * _LONGEST_VALUE], tuple(holes)
