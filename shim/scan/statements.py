"""Modes that statements of their own give a call: ``params.set("mode", "kill")`` before it, say.

A statement counts for a call where it is about a variable that the call is given, or that comes of
the call (``request, err := http.NewRequest(…)``, and then ``request.URL.RawQuery = "mode=kill"``),
and where nothing has given that variable another value in between.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from typing import Final

from ast_grep_py import SgNode

from shim.scan.expressions import READS
from shim.scan.judging import HOLE, MAYBE
from shim.scan.nodes import find_all, sides_of, span_of
from shim.scan.sources import Source
from shim.scan.values import Value, mode_in_query

_MOST: Final = 300
_NEAREST: Final = 8
_FURTHEST: Final = 12
"""Levels up to which a call is looked for in the tree."""
_LONGEST_CODE: Final = 2_000
_LONGEST_VALUE: Final = 300
# params["mode"], request.params[:mode], query.mode
_ITEM: Final = re.compile(r"\w\??(?:\.mode|\[[\"'`:]{0,2}mode[\"'`]?\])$")
_QUERY: Final = re.compile(r"\.(?:raw|Raw)?(?:query|Query|search|querystring)$")
_LONGEST_KEY: Final = 80
_AROUND: Final = re.compile(r"await|try_expression|parenthesized")
_STATEMENT: Final = re.compile(
    r"statement|block|body|^module$|^program$|source_file|^then$|^else$|compilation_unit"
)
_SETS_QUERY: Final = re.compile(r"(?i)query|search|param|^push_str$|^append|^concat|^write")
_OWNER: Final = re.compile(
    r"[\s&*(@]{0,20}(?:(?:self|this)\s?\.\s?|\$this->)?\$?(?P<name>[A-Za-z_]\w{0,60})"
    r"(?=\s{0,80}[!?]?(?:\.|->|::|\[))"
)
_WORD: Final = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement that gives a mode, as a value is spelled, to what a variable holds.

    ``owners`` are that variable and the one that it comes of.
    """

    node: SgNode
    start: int
    owners: tuple[str, ...]
    mode: str


class Statements:
    """The statements about modes of one file."""

    def __init__(self, source: Source, value_of: Callable[[SgNode], Value]) -> None:
        self._source = source
        self._assignments = source.assignments
        self._value_of = value_of

    def given_to(self, call: SgNode, holes: Iterable[str]) -> tuple[str, ...]:
        """Return the modes that statements give a call; ``holes`` label what its URL is made of."""
        if not self._by_owner:
            return ()
        start, end = span_of(call)
        code = set(_WORD.findall(self._source.text[start : min(end, start + _LONGEST_CODE)]))
        used = code.union(*(_WORD.findall(hole) for hole in holes))
        used.update(word for name in code for word in self._words_given(name, start))
        modes = [
            mode
            for name in sorted(used & self._by_owner.keys())
            for one in self._near(name, start)
            if one.start < start and one.owners[0] == name
            if (mode := self._mode_for(one, name, start))
        ]
        for name in self._results_of(call):
            modes += [
                mode
                for one in self._near(name, end)
                if one.start >= end and (mode := self._mode_for(one, name, start))
            ]
        return tuple(modes)

    def _near(self, name: str, at: int) -> list[Statement]:
        every = self._by_owner.get(name, [])
        middle = bisect_left(every, at, key=lambda one: one.start)
        return every[max(0, middle - _NEAREST) : middle + _NEAREST]

    def _mode_for(self, one: Statement, name: str, at: int) -> str | None:
        """Return the mode that a statement gives a call, or ``None`` where it is not for it."""
        file = (0, len(self._source.text))
        mine, its = self._assignments.scope_at(at), self._assignments.scope(one.node)
        is_around = its[0] <= at < its[1]
        if not is_around and (mine == file or not mine[0] < its[0] < mine[1]):
            return None
        # A function may be called before the statement of its file is reached, or a callback never.
        sure = (
            is_around and (its == mine or its != file) and self._assignments.is_sure(one.node, at)
        )
        for node in self._given_between(name, *sorted((one.start, at))):
            if self._assignments.is_sure(node, max(one.start, at)):
                return None
            sure = False
        return one.mode if sure else f"{HOLE}{MAYBE} cancel {one.mode}"

    def _given_between(self, name: str, start: int, end: int) -> list[SgNode]:
        nodes = self._assignments.index.get(name, [])
        first = bisect_left(nodes, start, key=lambda node: span_of(node)[0])
        return [
            node
            for node in nodes[first : first + _NEAREST]
            if span_of(node)[0] < end and not self._is_given_to_itself(node)
        ]

    def _words_given(self, name: str, at: int) -> list[str]:
        """Return the words of what a variable was given before a place."""
        nodes = self._assignments.index.get(name, [])
        before = bisect_left(nodes, at, key=lambda node: span_of(node)[0]) - 1
        value = sides_of(nodes[before])[1] if before >= 0 else None
        return [] if value is None else _WORD.findall(self._source.label(value))

    def _results_of(self, call: SgNode) -> list[str]:
        """Return the variables that a call's result is given to, or that it is about."""
        node: SgNode | None = call
        for _ in range(_FURTHEST):
            if node is None or node.kind() in self._source.kinds.functions:
                break
            if node.kind() in self._source.kinds.assigns:
                target = sides_of(node)[0]
                return [] if target is None else _WORD.findall(self._source.label(target))[:4]
            node = node.parent()
        return []

    # Which statements there are.

    @cached_property
    def _by_owner(self) -> dict[str, list[Statement]]:
        found: dict[str, list[Statement]] = {}
        every = [*self._assigned(), *self._called()]
        for one in sorted(every, key=lambda one: one.start)[:_MOST]:
            for owner in one.owners:
                found.setdefault(owner, []).append(one)
        return found

    def _assigned(self) -> Iterator[Statement]:
        """Return what is assigned: ``params["mode"] = "kill"``, ``url.query = "mode=kill"``."""
        for key, nodes in self._assignments.index.items():
            is_item = key == ".mode" or _ITEM.search(key[-_LONGEST_KEY:]) is not None
            if not is_item and not _QUERY.search(key[-_LONGEST_KEY:]):
                continue
            for node in nodes[:_MOST]:
                target, value, _ = sides_of(node)
                if target is None or value is None:
                    continue
                made = self._value_of(value)
                mode = made.spelled if is_item else _mode_of_query(made)
                yield from self._about(node, self._source.label(target), mode)

    def _called(self) -> Iterator[Statement]:
        """Return what calls do: ``query.set("mode", "kill")``, ``url.set_query("mode=kill")``."""
        for literal in find_all(self._source.root, self._source.kinds.strings):
            text = literal.text()[:_LONGEST_VALUE].strip("\"'`")
            is_key = text == "mode"
            if not is_key and "mode=" not in text:
                continue
            call, mode = self._call_given(literal, is_key=is_key)
            around = None if call is None else self._statement_of(call)
            if around is not None and mode is not None:
                yield from self._about(around[0], self._source.label(around[0]), around[1] + mode)

    def _call_given(self, literal: SgNode, *, is_key: bool) -> tuple[SgNode | None, str | None]:
        """Return the call that sets a parameter by a literal, and the mode that it sets."""
        kinds = self._source.kinds
        node = literal.parent()
        for _ in range(_FURTHEST):
            if node is None or node.kind() in kinds.functions | kinds.assigns:
                break
            if node.kind() in kinds.calls:
                mode = self._mode_by(node, literal, is_key=is_key)
                if mode is not None:
                    return node, mode
            node = node.parent()
        return None, None

    def _mode_by(self, call: SgNode, literal: SgNode, *, is_key: bool) -> str | None:
        """Return the mode that a call sets by a literal, as a value is spelled."""
        link = self._source.chain(call)[0][-1]
        if READS.match(link.name) or not (is_key or _SETS_QUERY.search(link.name)):
            return None
        at = span_of(literal)[0]
        for argument, following in zip_longest(link.arguments, link.arguments[1:]):
            start, end = span_of(argument)
            if not start <= at < end:
                continue
            if not is_key:
                return _mode_of_query(self._value_of(self._source.top(literal)))
            if following is not None and self._source.unwrapped(argument) == literal:
                return self._value_of(following).spelled
            # A table: query([("mode", "kill")])
            return _mode_of_query(self._value_of(argument))
        return None

    def _statement_of(self, call: SgNode) -> tuple[SgNode, str] | None:
        """Return the chain that a call is in, where that is a statement, and a mark of doubt."""
        kinds = self._source.kinds
        node, above = call, call.parent()
        for _ in range(_FURTHEST):
            if above is None or not (
                above.kind() in kinds.calls | kinds.members or _AROUND.search(above.kind())
            ):
                break
            node, above = above, above.parent()
        if above is None or any(
            link.rule.method != "argument" or link.rule.otherwise
            for link in self._source.chain(node)[0]
        ):
            return None
        if above.kind() in kinds.joins:
            return node, f"{HOLE}{MAYBE} cancel "
        is_statement = _STATEMENT.search(above.kind()) or self._is_given_to_itself(above)
        return (node, "") if is_statement else None

    def _is_given_to_itself(self, node: SgNode) -> bool:
        """Tell whether a variable is given what is made of it: ``request = request.query(…)``."""
        if node.kind() not in self._source.kinds.assigns:
            return False
        target, value, _ = sides_of(node)
        if target is None or value is None:
            return False
        return (
            _WORD.findall(self._source.label(value))[:1] == _WORD.findall(target.text()[-80:])[-1:]
        )

    def _about(self, node: SgNode, text: str, mode: str | None) -> Iterator[Statement]:
        owner = _OWNER.match(text)
        if owner is None or mode is None:
            return
        start = span_of(node)[0]
        owners = [owner["name"], *self._words_given(owner["name"], start)[:1]]
        yield Statement(node, start, tuple(dict.fromkeys(owners)), mode)


def _mode_of_query(query: Value) -> str | None:
    """Return the mode that a query gives, as a value is spelled."""
    given = (*query.under("mode"), mode_in_query(query))[0]
    # What follows may be given by the next statement.
    return None if given is None else given.spelled or HOLE
