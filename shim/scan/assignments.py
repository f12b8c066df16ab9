"""What gave a variable its value: the last assignment before a place, within its function."""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import cached_property
from typing import Final, NamedTuple

from ast_grep_py import SgNode

from shim.scan.languages import Kinds
from shim.scan.nodes import find_all, sides_of, span_of

_MOST: Final = 200
_MOST_OF_FIELD: Final = 10
_LONGEST_HEAD: Final = 200
_FURTHEST: Final = 40
"""Levels up to which a place is looked for in the tree."""
_WHETHER_FOUND: Final = frozenset({"ok", "found", "exists", "_"})
_DOTS: Final = re.compile(r"\.|->|@")
FIELD: Final = re.compile(r"^(?:self|this|@{1,2}|\$this|\w{1,3})\s*(?:\.|->|\?\.)\s*(?=\w)|^@{1,2}")
_CONSTANT: Final = re.compile(r"\b(?:final|readonly|const|static|val|Final|ClassVar)\b")
_BLOCK: Final = re.compile(
    r"block|body|statements|^module$|^program$|source_file|suite|^then$|^else$|compilation_unit|case|arm$|clause|^when|"
    # A branch that is one statement has no block.
    r"^if|^unless|^while|^for(?:each)?_|conditional|ternary|_modifier$"
)


class Assignments:
    """The assignments of a file, and its functions, within which they count."""

    def __init__(self, root: SgNode, text: str, kinds: Kinds) -> None:
        self.root = root
        self.text = text
        self.kinds = kinds
        self._places: dict[str, list[Placed]] = {}

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
        that it need not follow upon: of other branches.  Those of a field are in any method of its
        class.
        """
        if key not in self.index:
            return []
        if key.startswith("."):
            return self._of_field(key, at)
        inside = [
            (one.function, one.node)
            for one in self._placed(key)
            if one.function[0] <= at <= one.function[1]
        ]
        if not inside:
            return []
        innermost = max(scope[0] for scope, _ in inside)
        mine = [node for scope, node in inside if scope[0] == innermost]
        before = [node for node in mine if span_of(node)[1] <= at]
        if not before and innermost == 0:
            before = mine[:1]
        return self._last(before, key, at)[0]

    def _of_field(self, key: str, at: int) -> list[tuple[SgNode, SgNode, str]]:
        placed = self._placed(key)
        around = self._innermost(self._classes, at)
        placed = [one for one in placed if one.around == around] or placed
        function = self._innermost(self._functions, at)
        here = [one.node for one in placed if one.function == function]
        found, sure = self._last([one for one in here if span_of(one)[1] <= at], key, at)
        if sure:
            return found
        others = [one.node for one in placed if one.function != function][-_MOST_OF_FIELD:]
        return found + [side for one in reversed(others) if (side := self._side_for(one, key))]

    def _placed(self, key: str) -> list[Placed]:
        if key not in self._places:
            self._places[key] = [
                Placed(node, self.scope(node), self._innermost(self._classes, span_of(node)[0]))
                for node in self.index.get(key, [])[:_MOST]
            ]
        return self._places[key]

    def _last(
        self, nodes: list[SgNode], key: str, at: int
    ) -> tuple[list[tuple[SgNode, SgNode, str]], bool]:
        """Return the last of some assignments that is made whatever happens, and those after it.

        And whether there is one.
        """
        chosen = []
        for node in reversed(nodes):
            side = self._side_for(node, key)
            if side is None:
                continue
            chosen.append(side)
            if self.is_sure(node, at):
                return chosen, True
        return chosen, False

    def _side_for(self, node: SgNode, key: str) -> tuple[SgNode, SgNode, str] | None:
        target, value, operator = sides_of(node)
        if target is None or value is None:
            return None
        if re.search(r"list|tuple", target.kind()):
            names = [self.key(one.text()) for one in target.named_children()]
            values = value.named_children() if re.search(r"list|tuple", value.kind()) else []
            if key in names and len(values) == len(names):
                value = values[names.index(key)]
            elif key in names and (names.index(key) > 0 or self._is_taken_apart(value, names)):
                return None
        return node, value, operator

    def _is_taken_apart(self, value: SgNode, names: list[str]) -> bool:
        """Tell whether variables get the parts of a value; the first of a call's is what it makes.

        As in Go: ``request, err := http.NewRequest(…)``, ``url, ok := urls[id]``.
        """
        return value.kind() not in self.kinds.calls and not _WHETHER_FOUND.issuperset(names[1:])

    def is_sure(self, node: SgNode, at: int) -> bool:
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

    def is_default(self, node: SgNode, name: str) -> bool:
        """Tell whether a variable has this value only where nobody says otherwise.

        That is the default of a parameter, or of a field that whoever makes the object may give.
        """
        if node.kind() in self.kinds.defaults:
            return True
        at = span_of(node)[0]
        around = self._innermost(self._classes, at)
        if around is None or self.scope(node)[0] > around[0]:
            return False
        owner, _, last = name.replace("->", ".").replace("::", ".").rpartition(".")
        above = node.parent()
        first = span_of(above)[0] if above is not None else at
        said = self.text[first : first + _LONGEST_HEAD].partition("=")[0]
        return not (last.isupper() or owner[:1].isupper() or _CONSTANT.search(said))

    def scope(self, node: SgNode) -> tuple[int, int]:
        """Return where the innermost function around a node begins and ends, or the file."""
        start, end = span_of(node)
        return self._innermost(self._functions, start, (start, end)) or (0, len(self.text))

    def scope_at(self, at: int) -> tuple[int, int]:
        """Return where the innermost function around a place begins and ends, or the file."""
        return self._innermost(self._functions, at) or (0, len(self.text))

    def _innermost(
        self, nesting: Nesting, at: int, other_than: tuple[int, int] | None = None
    ) -> tuple[int, int] | None:
        inner = bisect_right(nesting.starts, at) - 1
        while inner >= 0 and (nesting.spans[inner][1] <= at or nesting.spans[inner] == other_than):
            inner = nesting.above[inner]
        return nesting.spans[inner] if inner >= 0 else None

    @cached_property
    def _functions(self) -> Nesting:
        return _nesting(self.root, self.kinds.functions)

    @cached_property
    def _classes(self) -> Nesting:
        return _nesting(self.root, self.kinds.classes)


class Placed(NamedTuple):
    """An assignment, with where the function around it begins and ends, and the class."""

    node: SgNode
    function: tuple[int, int]
    around: tuple[int, int] | None


class Nesting(NamedTuple):
    """Where nodes of some kinds begin, their spans, and for each the one around it, or -1."""

    starts: list[int]
    spans: list[tuple[int, int]]
    above: list[int]


def _nesting(root: SgNode, kinds: frozenset[str]) -> Nesting:
    spans = sorted(
        {span_of(node) for node in find_all(root, kinds)}, key=lambda span: (span[0], -span[1])
    )
    above: list[int] = []
    open_ones: list[int] = []
    for number, (start, _) in enumerate(spans):
        while open_ones and spans[open_ones[-1]][1] <= start:
            open_ones.pop()
        above.append(open_ones[-1] if open_ones else -1)
        open_ones.append(number)
    return Nesting([start for start, _ in spans], spans, above)
