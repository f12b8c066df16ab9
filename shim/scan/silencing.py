"""Comments that silence a finding: ``restate-shim: ignore`` and a reason."""

from __future__ import annotations

import re
from typing import Final

from shim.scan.finding import Finding

_IGNORE: Final = re.compile(
    r"restate-shim: ?ignore(?=[ :,\t]|$)[ :,\t-]{0,8}(?P<reason>[^\n]{0,200})"
)
_COMMENT_END: Final = re.compile(r"(?:-->|\*/}?|#}|%>)$")
# A line that holds nothing but a comment, in all of the languages that are read.
_ALONE: Final = re.compile(r"(?i)[ \t\"]*(?:#|//|/\*|\*[ \t]|<!--|--|;|\{/?[*#]|<#|::|rem\b)")
_FENCE: Final = re.compile(r"[ \t>]{0,12}(?P<fence>`{3,}|~{3,})")
_BLOCK: Final = re.compile(r"[^\n#]*[:-][ \t]+[|>][-+0-9]{0,2}[ \t]*(?:#|$)")
_LONGEST_LINE: Final = 4_000


class Silence:
    """The lines of one file that a comment silences.

    A comment behind code is of its line; one that stands alone, of the next line too, and where
    that opens a block of Markdown or YAML, of all that is in the block.
    """

    def __init__(self, text: str) -> None:
        self._lines = text.split("\n") if _IGNORE.search(text) else []
        self._silenced = _silenced(self._lines)

    def holds(self, finding: Finding) -> bool:
        """Tell whether one of the lines of a finding is silenced."""
        if not self._silenced:
            return False
        first, last = self._span(finding)
        return not self._silenced.isdisjoint(range(first, last + 1))

    def _span(self, finding: Finding) -> tuple[int, int]:
        """Return the first and the last line of a finding, whose own is where its URL stands."""
        last = finding.line
        while last < len(self._lines) and self._lines[last - 1].endswith("\\"):
            # A command of a shell goes on; its code is here on one line.
            last += 1
        more = finding.code.count("\n")
        if more:
            # Its code as it stands in the file, if it does: not so where YAML has folded it.
            begin = max(0, finding.line - 1 - more)
            around = "\n".join(self._lines[begin : finding.line + more])
            at = around.find(finding.code)
            if at >= 0:
                first = begin + 1 + around.count("\n", 0, at)
                return first, first + more
        return finding.line, last


def _silenced(lines: list[str]) -> frozenset[int]:
    found: set[int] = set()
    within = -1
    for number, line in enumerate(lines):
        if number <= within or not _gives_a_reason(line):
            continue
        found.add(number + 1)
        if _ALONE.match(line) and number + 1 < len(lines):
            end = _block_end(lines, number + 1)
            found.update(range(number + 2, end + 2))
            # What is silenced as a whole needs no second look.
            within = end if end > number + 1 else within
    return frozenset(found)


def _gives_a_reason(line: str) -> bool:
    comment = _IGNORE.search(_COMMENT_END.sub("", line[:_LONGEST_LINE].rstrip()))
    return comment is not None and bool(comment["reason"].strip(" *-\"'`,)"))


def _block_end(lines: list[str], start: int) -> int:
    """Return the last line of the block that a line opens, or that line; both count from 0."""
    opening = lines[start][:_LONGEST_LINE]
    end = start
    if fence := _FENCE.match(opening):
        for end in range(start + 1, len(lines)):
            closing = lines[end].strip(" \t>\r")
            if closing.startswith(fence["fence"]) and not closing.strip(fence["fence"][0]):
                break
    elif _BLOCK.match(opening):
        depth = _depth(opening)
        for number in range(start + 1, len(lines)):
            if lines[number].strip():
                if _depth(lines[number]) <= depth:
                    break
                end = number
    return end


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
