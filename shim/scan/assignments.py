"""What gave a variable its value: the last assignment before a place, within its function."""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import cached_property
from typing import Final

from ast_grep_py import SgNode

from shim.scan.languages import Kinds
from shim.scan.nodes import find_all, sides_of, span_of

_FURTHEST: Final = 40
"""Levels up to which a place is looked for in the tree."""
_DOTS: Final = re.compile(r"\.|->|@")
FIELD: Final = re.compile(r"^(?:self|this|@{1,2}|\$this|\w{1,3})\s*(?:\.|->|\?\.)\s*(?=\w)|^@{1,2}")
_BLOCK: Final = re.compile(
    r"block|body|statements|^module$|^program$|source_file|suite|^then$|^else$|compilation_unit|case|arm$|clause|^when"
)


class Assignments:
    """The assignments of a file, and its functions, within which they count."""

    def __init__(self, root: SgNode, text: str, kinds: Kinds) -> None:
        self.root = root
        self.text = text
        self.kinds = kinds

    def key(self, text: str) -> str:
        """Return the name under which a variable is kept: that of a field begins with a dot."""
        text = text.strip().lstrip("&*")
        if (FIELD.match(text) and not text.startswith("$")) or text.startswith("$this"):
            return "." + _DOTS.split(text)[-1].strip("?!")
        return text.lstrip("$")

    @cached_property
    def index(self) -> dict[str, list[SgNode]]:
        """Return the assignments of the file by the name of what they are to."""
        found: dict[str, list[SgNode]] = {}
        for node in find_all(self.root, self.kinds.assigns):
            target, _, _ = sides_of(node)
            if target is None:
                continue
            targets = (
                target.named_children() if re.search(r"list|tuple", target.kind()) else [target]
            )
            for one in targets:
                text = "".join(one.text().split())
                key = self.key(text)
                if "." in text and not key.startswith("."):
                    key = "." + text.rpartition(".")[2]
                found.setdefault(key, []).append(node)
                if (
                    not key.startswith(".")
                    and re.search(r"field|property|const|class_parameter|assignment", node.kind())
                ) or key.isupper():
                    found.setdefault("." + key, []).append(node)
        return found

    def before(self, key: str, at: int) -> list[tuple[SgNode, SgNode, str]]:
        """Return the assignments that may have given a variable its value at a place.

        The last one before it in the innermost function that has one, with those before that one
        that it need not follow upon: of other branches.
        """
        nodes = self.index.get(key, [])
        if not nodes:
            return []
        inside = [(self.scope(node), node) for node in nodes[:200]]
        inside = [(scope, node) for scope, node in inside if scope[0] <= at <= scope[1]]
        if not inside:
            if not key.startswith("."):
                return []
            inside = [((0, len(self.text)), node) for node in nodes[:200]]
        innermost = max(scope[0] for scope, _ in inside)
        mine = [node for scope, node in inside if scope[0] == innermost]
        before = [node for node in mine if span_of(node)[1] <= at]
        whole_file = innermost == 0 or key.startswith(".")
        if not before:
            before = mine[:1] if whole_file else []
        chosen = []
        for node in reversed(before):
            side = self._side_for(node, key)
            if side is None:
                continue
            chosen.append(side)
            if self._is_sure(node, at):
                break
        return chosen

    def _side_for(self, node: SgNode, key: str) -> tuple[SgNode, SgNode, str] | None:
        target, value, operator = sides_of(node)
        if target is None or value is None:
            return None
        if re.search(r"list|tuple", target.kind()):
            names = [self.key(one.text()) for one in target.named_children()]
            values = value.named_children() if re.search(r"list|tuple", value.kind()) else []
            if key in names and len(values) == len(names):
                value = values[names.index(key)]
            elif key in names and names.index(key) > 0:
                return None
        return node, value, operator

    def _is_sure(self, node: SgNode, at: int) -> bool:
        """Tell whether an assignment is made whenever a later place is reached."""
        above = node.parent()
        for _ in range(_FURTHEST):
            if above is None:
                break
            if _BLOCK.search(above.kind()):
                start, end = span_of(above)
                return start <= at <= end
            above = above.parent()
        return True

    def scope(self, node: SgNode) -> tuple[int, int]:
        """Return where the innermost function around a node begins and ends, or the file."""
        starts, spans, above = self._nesting
        at = span_of(node)[0]
        inner = bisect_right(starts, at) - 1
        while inner >= 0 and (spans[inner][1] <= at or spans[inner] == span_of(node)):
            inner = above[inner]
        return spans[inner] if inner >= 0 else (0, len(self.text))

    @cached_property
    def _nesting(self) -> tuple[list[int], list[tuple[int, int]], list[int]]:
        """Return where functions begin, their spans, and for each the one around it, or -1."""
        spans = sorted(
            {span_of(node) for node in find_all(self.root, self.kinds.functions)},
            key=lambda span: (span[0], -span[1]),
        )
        above: list[int] = []
        open_ones: list[int] = []
        for number, (start, _) in enumerate(spans):
            while open_ones and spans[open_ones[-1]][1] <= start:
                open_ones.pop()
            above.append(open_ones[-1] if open_ones else -1)
            open_ones.append(number)
        return [start for start, _ in spans], spans, above
