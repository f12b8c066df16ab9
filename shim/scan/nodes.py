"""Nodes of a tree, whatever the grammar calls their parts."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from typing import Final

from ast_grep_py import Rule, SgNode

_WORDS: Final = re.compile(r"[$\w]+")
_TYPES: Final = re.compile(r"type|modifier|binding_pattern_kind|mutable_specifier|visibility")


def find_all(node: SgNode, kinds: Iterable[str]) -> list[SgNode]:
    """Return the nodes of some kinds below a node, the outer ones first."""
    rules = [Rule(kind=kind) for kind in sorted(kinds)]
    return node.find_all(any=rules) if rules else []


def span_of(node: SgNode) -> tuple[int, int]:
    """Return where a node begins and ends, in characters."""
    where = node.range()
    return where.start.index, where.end.index


def unquoted(text: str) -> str:
    """Return a literal or a name in small letters, without what is around it."""
    return text.strip("\"'`:@$ []").lower()


def sides_of(node: SgNode) -> tuple[SgNode | None, SgNode | None, str]:
    """Return the target, the value and the operator of an assignment."""
    children = [one for one in node.named_children() if "comment" not in one.kind()]
    target = node.field("left") or node.field("name") or node.field("pattern")
    value = node.field("right") or node.field("value")
    useful = [one for one in children if not _TYPES.search(one.kind())]
    if target is None and useful:
        target = useful[0]
    if value is None and len(useful) > 1:
        value = useful[-1]
    if target is not None and re.search(
        r"^variable_declaration$|^directly_assignable", target.kind()
    ):
        inner = target.named_children()
        target = (
            inner[0] if len(inner) and "suffix" not in target.text() and len(inner) < 2 else target
        )
    if value is not None and target is not None and span_of(value) == span_of(target):
        value = None
    operator = next(
        (
            one.text()
            for one in node.children()
            if not one.is_named() and one.text() in ("+=", ".=", "<<")
        ),
        "=",
    )
    if operator == "=" and node.kind() == "operator_assignment":
        operator = "+="
    return target, value, operator


def name_of_function(node: SgNode) -> str | None:
    """Return a function's name: its own, or of what it is assigned to."""
    name = node.field("name")
    if name is None:
        above = node.parent()
        if above is not None and above.kind() in (
            "variable_declarator",
            "pair",
            "public_field_definition",
        ):
            name = above.field("name") or above.field("key")
        elif re.search(r"function|method", node.kind()):
            name = next((one for one in node.named_children() if "identifier" in one.kind()), None)
    return name.text() if name is not None else None


def parameters_of(function: SgNode) -> list[str]:
    """Return the names of a function's parameters, but not of the object that it is called on."""
    group = next((one for one in function.named_children() if "parameter" in one.kind()), None)
    if group is None:
        return []
    names = []
    for one in group.named_children():
        text = one.text()
        if text in ("self", "this", "&self", "&mut self", "cls"):
            continue
        name = one.field("name") or one.field("pattern")
        leaf = name.text() if name is not None else text
        words = _WORDS.findall(leaf.partition(":")[0].partition("=")[0])
        names.append((words[-1] if words else leaf).lstrip("$"))
    return names


class Lines:
    """Where characters stand, as lines and columns that count from 1."""

    def __init__(self, text: str) -> None:
        self._starts = [0, *(found.end() for found in re.finditer("\n", text))]

    def place(self, at: int) -> tuple[int, int]:
        """Return the line and the column of a character."""
        line = bisect_right(self._starts, at)
        return line, at - self._starts[line - 1] + 1

    def index(self, line: int, column: int) -> int:
        """Return the character at a line and a column."""
        return self._starts[line - 1] + column - 1


class Nesting:
    """Spans that lie within each other, or apart: those around a place."""

    def __init__(self, spans: Iterable[tuple[int, int]]) -> None:
        self._spans = sorted(set(spans), key=lambda span: (span[0], -span[1]))
        self._starts = [start for start, _ in self._spans]
        self._above: list[int] = []
        open_ones: list[int] = []
        for number, (start, _) in enumerate(self._spans):
            while open_ones and self._spans[open_ones[-1]][1] <= start:
                open_ones.pop()
            self._above.append(open_ones[-1] if open_ones else -1)
            open_ones.append(number)

    def around(self, at: int) -> Iterator[tuple[int, int]]:
        """Return the spans that a place is in, or at the end of: the innermost first."""
        inner = bisect_right(self._starts, at) - 1
        while inner >= 0:
            if self._spans[inner][1] >= at:
                yield self._spans[inner]
            inner = self._above[inner]

    def innermost(self, at: int, *, but: tuple[int, int] | None = None) -> tuple[int, int] | None:
        """Return the innermost span that a place is in, but not at the end of, or ``None``."""
        around = self.around(at)
        return next((span for span in around if span[1] > at and span != but), None)


class Starts:
    """Nodes in the order in which they begin: those that begin within a span."""

    def __init__(self, nodes: Iterable[SgNode]) -> None:
        self._nodes = list(nodes)
        self._starts = [span_of(node)[0] for node in self._nodes]

    def within(self, start: int, end: int, most: int | None = None) -> list[SgNode]:
        """Return the nodes that begin from ``start`` on and before ``end``, the first of them."""
        first, last = bisect_left(self._starts, start), bisect_left(self._starts, end)
        return self._nodes[first : last if most is None else min(last, first + most)]


class Spans:
    """Spans, of which some may overlap: whether they do with another one."""

    def __init__(self, spans: Iterable[tuple[int, int]]) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in sorted(spans):
            if self._ends and start < self._ends[-1]:
                self._ends[-1] = max(end, self._ends[-1])
            else:
                self._starts.append(start)
                self._ends.append(end)

    def overlap(self, start: int, end: int) -> bool:
        """Tell whether one of them and another one share a character."""
        number = bisect_left(self._starts, end) - 1
        return number >= 0 and self._ends[number] > start
