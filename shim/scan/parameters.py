"""Whether a call is given something that may hold the mode and cannot be read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final

from ast_grep_py import SgNode

from shim.scan.expressions import MAPS
from shim.scan.finding import MODES
from shim.scan.nodes import span_of, unquoted
from shim.scan.sources import Link, Source
from shim.scan.values import Value, has_route

_FURTHEST: Final = 2_000
_DEEPEST: Final = 12
_MOST: Final = 60
# A word that is not the name of an argument.
_WORD: Final = re.compile(r"[\w$]+(?![\w$]|\s?[=:])")
_LONGEST: Final = 300
# What names say of themselves: params, queryParams, request_options, axiosConfig, kwargs, mode.
_NAMED: Final = re.compile(
    r"(?i)(?:params?|parameters|query|querystring|options?|opts|config|cfg|init|kwargs|kw|extras?|mode)$"
)
_SPOKEN_OF: Final = re.compile(r"(?i)\b(?:\w{0,30}params|parameters|query|querystring)\b")
_TABLE: Final = re.compile(
    r"object$|dict|hash|array|list|tuple|literal_value|map|parenthesized|reference|composite"
)


class Parameters:
    """The parameters that the calls of one file are given."""

    def __init__(self, source: Source, value_of: Callable[[SgNode], Value]) -> None:
        self.source = source
        self.value_of = value_of
        self._read: dict[tuple[int, int, str], bool] = {}

    def may_hold_a_mode(self, links: Iterable[Link], asking: Link) -> bool:
        """Tell whether a request is given parameters that are not all known: ``**kwargs``, say.

        By the call of the chain that asks, or by one whose name says so: ``.query(parameters)``.
        """
        named = [one.arguments[0] for one in links if one.arguments and _NAMED.search(one.name)]
        return any(map(self._is_open, asking.arguments)) or any(
            not self._is_read(one) and not has_route(self.value_of(one)) for one in named
        )

    def _is_open(self, node: SgNode, depth: int = 0) -> bool:
        kinds = self.source.kinds
        children = node.named_children()
        if node.kind() in kinds.spreads:
            return self._has_unread_spread([node])
        if depth > _DEEPEST or node.kind() in kinds.strings:
            # Somebody's own call that is told the mode by itself.
            return unquoted(self.source.label(node)) in MODES
        if node.kind() in kinds.pairs and len(children) > 1:
            parameters = _NAMED.search(unquoted(children[0].text()[-_LONGEST:]))
            return parameters is not None and not self._is_read(children[-1])
        if len(children) == 1 or _TABLE.search(node.kind()):
            return any(self._is_open(one, depth + 1) for one in children[:_MOST])
        if has_route(self.value_of(node)):
            return False
        if node.kind() in kinds.names | kinds.members or "shorthand" in node.kind():
            return _NAMED.search(self.source.label(node)) is not None and not self._is_read(node)
        return _SPOKEN_OF.search(self.source.label(node)) is not None

    def _is_read(self, node: SgNode, depth: int = 0) -> bool:
        """Tell whether it is known what something holds: a table, or a variable that is one."""
        key = (*span_of(node), node.kind())
        if key not in self._read:
            # What holds itself is not known.
            self._read[key] = False
            self._read[key] = depth < _DEEPEST and self._holds_what_is_read(node, depth + 1)
        return self._read[key]

    def _holds_what_is_read(self, node: SgNode, depth: int) -> bool:
        kinds = self.source.kinds
        kind, inner = node.kind(), node.named_children()
        if kind in kinds.calls:
            link = self.source.chain(node)[0][-1]
            return link.name in MAPS and not self._has_unread_spread(link.arguments, depth)
        if _TABLE.search(kind):
            return not self._has_unread_spread(inner[:_MOST], depth)
        if kind in kinds.names or "shorthand" in kind:
            return self._is_variable_read(node, depth)
        if kind in kinds.strings:
            return True
        return len(inner) == 1 and self._is_read(inner[0], depth)

    def _has_unread_spread(self, nodes: Iterable[SgNode], depth: int = 0) -> bool:
        return any(
            not all(self._is_read(one, depth) for one in node.named_children())
            for node in nodes
            if node.kind() in self.source.kinds.spreads
        )

    def _is_variable_read(self, node: SgNode, depth: int) -> bool:
        assignments = self.source.assignments
        at = span_of(node)[0]
        name = node.text()
        found = assignments.before(assignments.key(name), at)
        if len(found) != 1 or assignments.is_default(found[0][0], name):
            return False
        given, value, _ = found[0]
        between = self.source.text[span_of(given)[1] : at]
        # Whoever is given it in between may have put something in.
        untouched = len(between) < _FURTHEST and name not in _WORD.findall(between)
        return untouched and self._is_read(value, depth)
