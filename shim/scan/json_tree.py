"""JSON as a tree whose parts know where they stand; also with comments, and as JSON5 is written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal

from shim.scan.excerpts import Excerpt

_MOST_NODES: Final = 200_000
_TOKEN: Final = re.compile(
    r"\s+|//[^\n]*|\"[^\"\\\n]*(?:\\.[^\"\\\n]*)*\"|'[^'\\\n]*(?:\\.[^'\\\n]*)*'|[{}\[\],:]|"
    r"/\*|[^\s\"'{}\[\],:/]+"
)
_ESCAPE: Final = re.compile(r"\\(?:u[0-9a-fA-F]{4}(?:\\u[dD][c-fC-F][0-9a-fA-F]{2})?|.)")
_PLAIN: Final = {"n": "\n", "r": "\r", "t": "\t", "b": " ", "f": " "}
_NONE: Final[list[Any]] = []
_Kind = Literal["object", "array", "text", "word"]
_KINDS: Final[dict[str, _Kind]] = {"{": "object", "[": "array", '"': "text", "'": "text"}
_CLOSES: Final = {"}": "object", "]": "array"}


@dataclass(eq=False)
class Node:
    """A value, from ``start`` to ``end``.

    ``pairs`` are what an object holds, by key, and where the keys stand; ``items`` what an array.
    """

    source: str
    kind: _Kind
    start: int
    end: int
    pairs: list[tuple[str, int, Node]]
    items: list[Node]

    @cached_property
    def text(self) -> Excerpt:
        """What a string says, or a word."""
        if self.kind == "word":
            return Excerpt(self.source[self.start : self.end], ((0, self.start),))
        if self.kind != "text":
            return Excerpt("")
        return _decoded(self.source, self.start + 1, self.end - 1)

    def get(self, key: str) -> Node | None:
        """Return what an object holds under a key."""
        return next((node for name, _, node in self.pairs if name == key), None)


def _decoded(source: str, start: int, end: int) -> Excerpt:
    parts: list[str] = []
    marks: list[tuple[int, int]] = [(0, start)]
    at, length = start, 0
    for found in _ESCAPE.finditer(source, start, end):
        parts.append(source[at : found.start()])
        length += found.start() - at
        char = found[0][1]
        if char == "u" and len(found[0]) > 2:
            text = json.loads(f'"{found[0]}"')
        else:
            text = _PLAIN.get(char, char)
        marks.append((length, found.start()))
        parts.append(text)
        length += len(text)
        at = found.end()
        marks.append((length, at))
    parts.append(source[at:end])
    return Excerpt("".join(parts), tuple(marks))


def read_json(text: str) -> list[Node] | None:
    """Return the values of a text, each before what is in it, or ``None`` where it is no JSON."""
    nodes: list[Node] = []
    above: list[Node] = []
    key: tuple[str, int] | None = None
    for at, end in _tokens(text):
        char = text[at]
        if char in ",:":
            key = key if char == ":" else None
        elif char in "}]":
            if not above or above[-1].kind != _CLOSES[char]:
                return None
            above.pop().end = end
        elif above and above[-1].kind == "object" and key is None:
            key = text[at:end].strip("\"'"), at
        else:
            kind = _KINDS.get(char, "word")
            holds = kind in ("object", "array")
            node = Node(text, kind, at, end, [] if holds else _NONE, [] if holds else _NONE)
            if above and key is not None:
                above[-1].pairs.append((*key, node))
            elif above:
                above[-1].items.append(node)
            nodes.append(node)
            key = None
            if holds:
                above.append(node)
        if end < 0 or len(nodes) > _MOST_NODES:
            return None
    return None if above else nodes


def _tokens(text: str) -> Iterator[tuple[int, int]]:
    """Return where what is no blank and no comment begins and ends; -1 where nothing is known."""
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        end = found.end() if found else -1
        if found and found[0] == "/*":
            end = text.find("*/", at) + 2
            end = end if end > 1 else -1
        elif found and not (found[0].isspace() or found[0].startswith("//")):
            yield at, end
        if end < 0:
            yield at, -1
            return
        at = end
