"""Findings as they are shown: the old call and the new one beside it."""

from __future__ import annotations

import textwrap
from dataclasses import replace
from typing import Final, NamedTuple

from shim.scan.finding import HANDLE, Edit, Finding
from shim.scan.judging import Judgement
from shim.scan.parts import Part
from shim.scan.rewriting import EXAMPLE, rewritten
from shim.scan.rewriting_commands import line_edits

MOST_CODE: Final = 600
"""Characters of code that are shown of one place."""
_WIDEST_INDENT: Final = 100


class Place(NamedTuple):
    """Where a finding is shown, and where its code begins and ends."""

    at: int
    start: int
    end: int


def finding(
    part: Part,
    at: int,
    judgement: Judgement,
    *,
    code: str,
    replacement: str,
    edits: tuple[Edit, ...] = (),
    more: str = "",
) -> Finding:
    """Return what was judged of a part, shown ``at`` one of its characters.

    ``more`` goes to the reason, which ends with what is to be handled.
    """
    line, column = part.lines.place(at)
    return Finding(
        part.path,
        line,
        column,
        part.language,
        judgement.mode,
        judgement.confidence,
        code,
        replacement,
        f"{judgement.reason}{more}; {HANDLE[judgement.mode]}",
        edits,
    )


def shown(
    part: Part, place: Place, judgement: Judgement, template: str, edits: tuple[Edit, ...] = ()
) -> Finding:
    """Return a finding: rewritten in its place where there are edits, else by a template."""
    at, start, end = place
    first = part.text.rfind("\n", 0, start) + 1
    indent = " " * min(start - first, _WIDEST_INDENT)
    code = part.text[start : min(end, start + MOST_CODE)]
    if edits:
        replacement = rewritten(part.text, edits, start, end)
        replacement = textwrap.dedent(indent + replacement).strip()
    else:
        mode = judgement.mode or "MODE"
        replacement = EXAMPLE + template.format(mode=mode, Mode=mode.capitalize())
    code = textwrap.dedent(indent + code).strip()
    return finding(part, at, judgement, code=code, replacement=replacement, edits=edits)


def told(part: Part, place: Place, judgement: Judgement, template: str) -> Finding:
    """Return the finding of a command line or a raw request that a literal holds."""
    _, start, end = place
    code = part.text[start : min(end, start + MOST_CODE)]
    edits = tuple(
        Edit(start + one.start, start + one.end, one.text) for one in line_edits(code, judgement)
    )
    return replace(shown(part, place, judgement, template, edits), edits=())
