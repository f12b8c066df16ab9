"""The lines of a text as they are meant: continued ones joined, and lists of words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from shim.scan.excerpts import Excerpt

_ITEM: Final = re.compile(r"^\s{0,80}-\s")
_FOLDED: Final = re.compile(r"(?::|-)\s{1,4}>[-+\d]{0,2}\s{0,8}$")
_LIST: Final = re.compile(r"[:=-]\s{1,4}\[(?:[^\]]{0,400},)?\s{0,8}$")
_MOST_PARTS: Final = 200


@dataclass(frozen=True, slots=True)
class Line:
    """A line as it is meant; ``is_list`` says that it was a list of words, one a line."""

    excerpt: Excerpt
    is_list: bool = False

    @property
    def text(self) -> str:
        """Return what stands on it."""
        return self.excerpt.text


def logical_lines(text: str, *, yaml: bool = False) -> Iterator[Line]:
    """Return the lines of a text with continued ones joined."""
    rows = _Rows(text)
    while rows.left:
        parts = rows.continued()
        is_list = False
        if yaml and _FOLDED.search(parts[-1][0]):
            parts += rows.folded(_indent(parts[0][0]))
        elif yaml and _ITEM.match(parts[0][0]) and _words_only(parts[0][0]):
            more = rows.items(_indent(parts[0][0]))
            parts, is_list = parts + more, bool(more)
        elif yaml and _LIST.search(parts[-1][0][-420:]):
            parts, is_list = parts + rows.listed(), True
        marks, texts, length = [], [], 0
        for piece, where in parts:
            marks.append((length, where))
            texts.append(piece)
            length += len(piece)
        yield Line(Excerpt("".join(texts), tuple(marks)), is_list)


class _Rows:
    """The lines of a text, taken one after the other; each with where it begins."""

    def __init__(self, text: str) -> None:
        self._rows = text.splitlines(keepends=True)
        self._at = 0
        self._offset = 0

    @property
    def left(self) -> bool:
        """Return whether there are any left."""
        return self._at < len(self._rows)

    def _peek(self) -> str:
        return self._rows[self._at].rstrip("\r\n")

    def _take(self) -> tuple[str, int]:
        row, offset = self._peek(), self._offset
        self._offset += len(self._rows[self._at])
        self._at += 1
        return row, offset

    def continued(self) -> list[tuple[str, int]]:
        """Take a line and those that it goes on in."""
        parts: list[tuple[str, int]] = []
        while self.left and len(parts) < _MOST_PARTS:
            row, offset = self._take()
            indent = _indent(row) if parts else 0
            more = row.endswith(("\\", " `", "^")) and self.left
            parts.append((row[indent : len(row) - 1 if more else None], offset + indent))
            if not more:
                break
        return parts

    def folded(self, own: int) -> list[tuple[str, int]]:
        """Take the lines of a folded text of YAML, which are one line."""
        parts: list[tuple[str, int]] = []
        while self.left and len(parts) < _MOST_PARTS:
            if self._peek().strip() and _indent(self._peek()) <= own:
                break
            row, offset = self._take()
            parts.append((f" {row.strip()}", offset + max(0, _indent(row) - 1)))
        return parts

    def items(self, own: int) -> list[tuple[str, int]]:
        """Take the items of a list of words of YAML, as arguments are given."""
        parts: list[tuple[str, int]] = []
        while self.left and len(parts) < _MOST_PARTS:
            row = self._peek()
            if not _ITEM.match(row) or _indent(row) != own or not _words_only(row):
                break
            row, offset = self._take()
            parts.append((f" {row.strip()[2:].strip()}", offset + row.find("-") + 1))
        return parts

    def listed(self) -> list[tuple[str, int]]:
        """Take the lines of a list in brackets, up to where it ends."""
        parts: list[tuple[str, int]] = []
        while self.left and len(parts) < _MOST_PARTS:
            row, offset = self._take()
            parts.append((f" {row.strip()}", offset + max(0, _indent(row) - 1)))
            if "]" in row:
                break
        return parts


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _words_only(line: str) -> bool:
    """Tell whether an item of a list is one word or a quoted one, as arguments are."""
    body = line.strip()[2:].strip()
    return (
        bool(body)
        and (body[0] in "\"'" or " " not in body)
        and not body.endswith(":")
        and ": " not in body
    )
