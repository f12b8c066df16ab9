"""Interfaces of clients: what the annotations of a method ask for, with those of its type."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from ast_grep_py import SgNode

from shim.scan.languages import names
from shim.scan.nodes import find_all, span_of, unquoted
from shim.scan.sources import Source
from shim.scan.values import Value, join

_FURTHEST: Final = 20
_MOST: Final = 20
_LONGEST_HEAD: Final = 300
_HOLDS: Final = re.compile(r"modifiers|annotation|attribute")
_IS_PATH: Final = re.compile(r"[/{]|invocations")


class Interfaces:
    """The interfaces of clients of one file."""

    def __init__(self, source: Source, value_of: Callable[[SgNode], Value]) -> None:
        self._source = source
        self._value_of = value_of
        self._paths: dict[tuple[int, int], tuple[Value, ...]] = {}

    def declared(self, annotation: SgNode) -> tuple[Value, ...]:
        """Return the path that a method's annotations and its type's make, and how the type begins.

        ``@DELETE @Path("/{id}")`` in an interface with ``@Path("/invocations")``, say.
        """
        holders = self._holders(annotation)
        parts = [path for holder in holders for path in self._paths_of(holder)]
        if not parts:
            return ()
        start = span_of(holders[0])[0]
        head = self._source.text[start : start + _LONGEST_HEAD].partition("{")[0]
        return join([Value(), *parts], "/"), Value("", (head,))

    def _holders(self, annotation: SgNode) -> list[SgNode]:
        """Return the type and the method that an annotation is of."""
        kinds = self._source.kinds
        found: list[SgNode] = []
        above = annotation.parent()
        for _ in range(_FURTHEST):
            if above is None:
                break
            if above.kind() in kinds.functions | kinds.classes:
                found.insert(0, above)
            if above.kind() in kinds.classes:
                break
            above = above.parent()
        return found

    def _paths_of(self, holder: SgNode) -> tuple[Value, ...]:
        where = span_of(holder)
        if where not in self._paths:
            self._paths[where] = tuple(
                path
                for child in holder.named_children()
                if _HOLDS.search(child.kind())
                for one in find_all(child, self._source.kinds.annotations)[:_MOST]
                for path in self._paths_in(one)
            )
        return self._paths[where]

    def _paths_in(self, annotation: SgNode) -> Iterator[Value]:
        link = self._source.chain(annotation)[0][-1]
        if link.name.lower() not in names().paths:
            return
        for argument in link.arguments:
            parts = argument.named_children()
            if len(parts) > 1 and unquoted(parts[0].text()) not in names().path_keys:
                continue
            value = self._value_of(parts[-1] if len(parts) > 1 else argument)
            if _IS_PATH.search(value.text):
                yield replace(value, text=value.text.strip("/"))
