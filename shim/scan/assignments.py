"""What gave a variable its value: the last assignment before a place, within its function."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from typing import Final, NamedTuple

from ast_grep_py import SgNode

from shim.scan.languages import Kinds
from shim.scan.nodes import Nesting, find_all, sides_of, span_of

_MOST_NEAR: Final = 200
_MOST_CHOSEN: Final = 40
_MOST_OF_FIELD: Final = 10
_LONGEST_HEAD: Final = 200
_ANY_CLASS: Final = (-1, -1)
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
        if key.startswith("."):
            return self._of_field(key, at)
        by_scope = self._by_scope.get(key, {})
        around = (start for start, _ in islice(self._functions.around(at), _FURTHEST))
        innermost = next((start for start in (*around, 0) if start in by_scope), None)
        if innermost is None:
            return []
        mine = by_scope[innermost]
        before = [one.node for one in islice(_backwards(mine, at), _MOST_CHOSEN)]
        if not before and innermost == 0:
            before = [mine[0].node]
        return self._last(before, key, at)[0]

    def _of_field(self, key: str, at: int) -> list[tuple[SgNode, SgNode, str]]:
        by_class = self._by_class.get(key, {})
        placed = by_class.get(self._classes.innermost(at)) or by_class.get(_ANY_CLASS, [])
        function = self.scope_at(at)
        near = islice(_backwards(placed, at), _MOST_NEAR)
        found, sure = self._last([one.node for one in near if one.function == function], key, at)
        if sure:
            return found
        last = islice(reversed(placed), _MOST_NEAR)
        others = islice((one.node for one in last if one.function != function), _MOST_OF_FIELD)
        return found + [side for one in others if (side := self._side_for(one, key))]

    def _last(
        self, nodes: list[SgNode], key: str, at: int
    ) -> tuple[list[tuple[SgNode, SgNode, str]], bool]:
        """Return the last of some assignments that is made whatever happens, and those after it.

        And whether there is one.  The last of them is the first of ``nodes``.
        """
        chosen = []
        for node in nodes:
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
        around = self._classes.innermost(at)
        if around is None or self.scope(node)[0] > around[0]:
            return False
        owner, _, last = name.replace("->", ".").replace("::", ".").rpartition(".")
        above = node.parent()
        first = span_of(above)[0] if above is not None else at
        said = self.text[first : first + _LONGEST_HEAD].partition("=")[0]
        return not (last.isupper() or owner[:1].isupper() or _CONSTANT.search(said))

    def scope(self, node: SgNode) -> tuple[int, int]:
        """Return where the innermost function around a node begins and ends, or the file."""
        span = span_of(node)
        return self._functions.innermost(span[0], but=span) or (0, len(self.text))

    def scope_at(self, at: int) -> tuple[int, int]:
        """Return where the innermost function around a place begins and ends, or the file."""
        return self._functions.innermost(at) or (0, len(self.text))

    @cached_property
    def _functions(self) -> Nesting:
        return Nesting(span_of(node) for node in find_all(self.root, self.kinds.functions))

    @cached_property
    def _classes(self) -> Nesting:
        return Nesting(span_of(node) for node in find_all(self.root, self.kinds.classes))

    @cached_property
    def _by_scope(self) -> dict[str, dict[int, list[Placed]]]:
        """The assignments by name, and by where the function begins that they stand in."""
        found: dict[str, dict[int, list[Placed]]] = {}
        for key, nodes in self.index.items():
            for node in nodes:
                one = Placed(node, span_of(node), self.scope(node))
                found.setdefault(key, {}).setdefault(one.function[0], []).append(one)
        return found

    @cached_property
    def _by_class(self) -> dict[str, dict[tuple[int, int] | None, list[Placed]]]:
        """The assignments of fields by name, and by the class that they stand in, or by any."""
        found: dict[str, dict[tuple[int, int] | None, list[Placed]]] = {}
        for key, nodes in self.index.items():
            for node in nodes if key.startswith(".") else ():
                one = Placed(node, span_of(node), self.scope(node))
                for around in (self._classes.innermost(one.span[0]), _ANY_CLASS):
                    found.setdefault(key, {}).setdefault(around, []).append(one)
        return found


class Placed(NamedTuple):
    """An assignment, and where it and the function around it begin and end."""

    node: SgNode
    span: tuple[int, int]
    function: tuple[int, int]


def _backwards(placed: list[Placed], at: int) -> Iterator[Placed]:
    """Return the assignments that end before a place, the last one first."""
    first = bisect_left(placed, at, key=lambda one: one.span[0])
    return (placed[number] for number in range(first - 1, -1, -1) if placed[number].span[1] <= at)
