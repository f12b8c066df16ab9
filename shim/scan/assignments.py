"""What gave a variable its value: the last assignment before a place, within its function."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from typing import Final

from ast_grep_py import SgNode

from shim.scan.languages import Kinds
from shim.scan.nodes import Nesting, find_all, sides_of, span_of

_FURTHEST: Final = 40
"""Levels up to which a place is looked for in the tree."""
_MOST_CHOSEN: Final = 40
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
        by_scope = self._by_scope.get(key)
        if by_scope is None:
            return []
        around = (span[0] for span in islice(self._functions.around(at), _FURTHEST))
        innermost = next((start for start in (*around, 0) if start in by_scope), None)
        if innermost is None and not key.startswith("."):
            return []
        mine = self.index[key] if innermost is None else by_scope[innermost]
        chosen = []
        for node in islice(_backwards(mine, at), _MOST_CHOSEN):
            side = self._side_for(node, key)
            if side is None:
                continue
            chosen.append(side)
            if self._is_sure(node, at):
                break
        if not chosen and (not innermost or key.startswith(".")):
            side = self._side_for(mine[0], key)
            chosen = [side] if side is not None else []
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
        own = span_of(node)
        around = self._functions.around(own[0])
        whole = (0, len(self.text))
        return next((span for span in around if span[1] > own[0] and span != own), whole)

    @cached_property
    def _functions(self) -> Nesting:
        return Nesting(span_of(node) for node in find_all(self.root, self.kinds.functions))

    @cached_property
    def _by_scope(self) -> dict[str, dict[int, list[SgNode]]]:
        """The assignments by name, and by where the function begins that they stand in."""
        found: dict[str, dict[int, list[SgNode]]] = {}
        for key, nodes in self.index.items():
            for node in nodes:
                found.setdefault(key, {}).setdefault(self.scope(node)[0], []).append(node)
        return found


def _backwards(nodes: list[SgNode], at: int) -> Iterator[SgNode]:
    """Return the nodes that end before a place, the last one first."""
    first = bisect_left(nodes, at, key=lambda node: span_of(node)[0])
    return (nodes[number] for number in range(first - 1, -1, -1) if span_of(nodes[number])[1] <= at)
