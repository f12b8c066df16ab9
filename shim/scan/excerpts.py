"""A text that stands in another, in one part or in several: a line, a word, a cell, a string."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A text, and where in the other one each part of it begins.

    ``marks`` are pairs of a character of this text and the one of the other that it is.
    """

    text: str
    marks: tuple[tuple[int, int], ...] = ((0, 0),)

    def at(self, index: int) -> int:
        """Return where in the other text a character stands."""
        number = bisect_right(self.marks, index, key=lambda mark: mark[0]) - 1
        start, there = self.marks[max(0, number)]
        return there + index - start

    def within(self, start: int, end: int) -> Excerpt:
        """Return a part of it."""
        first = bisect_right(self.marks, start, key=lambda mark: mark[0])
        last = bisect_right(self.marks, end - 1, key=lambda mark: mark[0])
        inner = ((here - start, there) for here, there in self.marks[first:last])
        return Excerpt(self.text[start:end], ((0, self.at(start)), *inner))


def joined(parts: Iterable[Excerpt]) -> Excerpt:
    """Return excerpts of one text as one."""
    texts: list[str] = []
    marks: list[tuple[int, int]] = []
    length = 0
    for part in parts:
        texts.append(part.text)
        marks += ((length + here, there) for here, there in part.marks)
        length += len(part.text)
    return Excerpt("".join(texts), tuple(marks) or ((0, 0),))
