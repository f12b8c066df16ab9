"""Findings in programs as they are shown: the old call and the new one beside it."""

from __future__ import annotations

import textwrap
from dataclasses import replace
from typing import Final, NamedTuple

from shim.scan.finding import HANDLE, Edit, Finding
from shim.scan.judging import Judgement
from shim.scan.languages import Language
from shim.scan.parts import Part
from shim.scan.rewriting import EXAMPLE, rewritten
from shim.scan.rewriting_commands import line_edits

_MOST_CODE: Final = 600
_WIDEST_INDENT: Final = 100


class Place(NamedTuple):
    """Where a finding is shown, and where its code begins and ends."""

    at: int
    start: int
    end: int


class Showing:
    """How the findings of one part of a file are shown."""

    def __init__(self, part: Part, language: Language) -> None:
        self._part = part
        self._language = language

    def shown(
        self, place: Place, judgement: Judgement, template: str, edits: tuple[Edit, ...] = ()
    ) -> Finding:
        """Return a finding: rewritten in its place where there are edits, else by a template."""
        at, start, end = place
        line, column = self._part.lines.place(at)
        first = self._part.text.rfind("\n", 0, start) + 1
        indent = " " * min(start - first, _WIDEST_INDENT)
        code = self._part.text[start : min(end, start + _MOST_CODE)]
        if edits:
            replacement = rewritten(self._part.text, edits, start, end)
            replacement = textwrap.dedent(indent + replacement).strip()
        else:
            mode = judgement.mode or "MODE"
            replacement = EXAMPLE + template.format(mode=mode, Mode=mode.capitalize())
        return Finding(
            self._part.path,
            line,
            column,
            self._part.language,
            judgement.mode,
            judgement.confidence,
            textwrap.dedent(indent + code).strip(),
            replacement,
            f"{judgement.reason}; {HANDLE[judgement.mode]}",
            edits,
        )

    def told(self, place: Place, judgement: Judgement, template: str) -> Finding:
        """Return the finding of a command line or a raw request that a literal holds."""
        _, start, end = place
        code = self._part.text[start : min(end, start + _MOST_CODE)]
        edits = tuple(
            Edit(start + one.start, start + one.end, one.text)
            for one in line_edits(code, judgement)
        )
        return replace(self.shown(place, judgement, template, edits), edits=())
