"""Calls of programming languages: which request a call makes, read off the tree of its file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from ast_grep_py import SgNode

from shim.scan.expressions import MAPS, Expressions
from shim.scan.interfaces import Interfaces
from shim.scan.judging import HOLE, is_of_one
from shim.scan.languages import Language, names
from shim.scan.languages import Rule as CallRule
from shim.scan.nodes import find_all, sides_of, span_of
from shim.scan.parameters import Parameters
from shim.scan.sources import Link, Source
from shim.scan.statements import Statements
from shim.scan.values import Value, has_route, method_of

_LAST: Final = re.compile(r"(\w{1,80})\W{0,10}$")
# What made a variable: new Map<string, string>(), redis.Redis(…).
_MADE: Final = re.compile(r"(\w{1,60})\s?(?:<[^<>()]{0,80}>)?\(")
_FLAG: Final = re.compile(r"(?:-\w{0,10}X|--request=|--method=|-Method:)DELETE")


@dataclass(frozen=True, slots=True)
class Site:
    """A call that may be a request.

    ``start`` and ``end`` are where it stands, ``at`` where the method is named, all in characters;
    ``links`` are all the calls of its chain.
    """

    start: int
    end: int
    at: int
    rule: CallRule
    method: str | None
    values: tuple[Value, ...]
    node: SgNode
    link: Link | None
    is_route: bool = False
    links: tuple[Link, ...] = ()

    @property
    def arguments(self) -> Iterator[SgNode]:
        """What the calls of its chain are given."""
        return (one for link in self.links for one in link.arguments)


class Tree:
    """The tree of one file."""

    def __init__(self, text: str, language: Language) -> None:
        self._source = source = Source(text, language)
        self._kinds = source.kinds
        self.broken_line = source.broken_line
        self.value_of = Expressions(source).value_of
        self._parameters = Parameters(source, self.value_of)
        self._interfaces = Interfaces(source, self.value_of)
        self._is_of_clients = names().is_of_clients(text)
        self._statements = Statements(source, self.value_of)

    def sites(self) -> Iterator[Site]:
        """Return every call that may be a request, the outer ones first."""
        inner: set[tuple[int, int]] = set()
        for node in find_all(self._source.root, self._kinds.calls):
            if span_of(node) not in inner:
                links, root = self._source.chain(node)
                inner.update(span_of(link.node) for link in links[:-1])
                if links[-1].name not in MAPS:
                    yield self._site(node, links, root)
        for target, value, node in self._assigned_methods():
            yield Site(
                *span_of(node),
                span_of(node)[0],
                self._source.language.fallback,
                "DELETE",
                (target, value),
                node,
                None,
            )

    def _site(self, node: SgNode, links: list[Link], root: SgNode | None) -> Site:
        named = _naming_the_method(links)
        at = links[-1].name_at if named is None else named.name_at
        method = None if named is None else named.rule.method
        arguments = [one for link in links for one in link.arguments]
        is_route = named is not None and self._is_route(node, named)
        values = [self.value_of(one) for one in arguments]
        values += [self.value_of(item) for one in arguments for item in self._items(one)]
        given = self._method_given(links)
        if given is not None:
            method, at = given
        asking = next((link for link in links if link.rule.otherwise), None)
        if method is None and asking and given is None and self._no_options(asking):
            method = asking.rule.otherwise
        if node.kind() in self._kinds.annotations and method == "DELETE":
            values += self._interfaces.declared(node)
        if root is not None and not any(map(has_route, values)):
            values.append(self.value_of(root))
        elif root is not None:
            values.append(replace(self.value_of(root), text="", literals=frozenset()))
        link = named or asking or links[-1]
        rule = link.rule
        if method == "DELETE" and self._is_no_client(links, link, root):
            method, rule = "OTHER", self._source.language.fallback
        return Site(
            *span_of(node), at, rule, method, tuple(values), node, link, is_route, tuple(links)
        )

    def _is_no_client(self, links: list[Link], link: Link, root: SgNode | None) -> bool:
        """Tell whether what is asked to delete is a cache, say, by its name or by what made it."""
        owner = _LAST.search(link.callee.removesuffix(link.name))
        if owner is not None and names().is_no_client(owner[1]):
            return True
        before = links[: links.index(link)]
        if before:
            return owner is None and names().makes_no_client(before[-1].name)
        made = _MADE.search(" ".join(self.value_of(root).holes)) if root is not None else None
        return made is not None and names().makes_no_client(made[1])

    def modes_stated(self, site: Site, holes: tuple[str, ...]) -> tuple[str, ...]:
        """Return the modes that statements around a call give it; ``holes`` are its URL's."""
        return self._statements.given_to(site.node, holes)

    def may_hold_a_mode(self, site: Site) -> bool:
        """Tell whether a call is given something that may hold a mode and cannot be read."""
        return site.link is not None and self._parameters.may_hold_a_mode(site.links, site.link)

    def _is_route(self, node: SgNode, link: Link) -> bool:
        """Tell whether it declares what a server answers, not what a client asks."""
        if node.kind() in self._kinds.annotations:
            return not self._is_of_clients
        above = node.parent()
        if above is not None and above.kind() == "decorator":
            return True
        if link.callee == link.name and self._is_given_to_a_stub(node):
            return True
        handlers = {one.kind() for one in link.arguments} & self._kinds.functions
        if any(is_of_one(self.value_of(one).text) for one in link.arguments):
            # They are told what the server has answered.
            return False
        # A block says what to send, where it is somebody that is told to.
        return bool(handlers - self._kinds.blocks) or bool(handlers and link.callee == link.name)

    def _is_given_to_a_stub(self, node: SgNode) -> bool:
        above = node.parent()
        for _ in range(4):
            if above is None or above.kind() in self._kinds.functions:
                break
            if above.kind() in self._kinds.calls:
                return self._source.chain(above)[0][-1].name in names().stubs
            above = above.parent()
        return False

    def _no_options(self, link: Link) -> bool:
        """Tell whether a call is given nothing that might hold a method."""
        if any(one.kind() in self._kinds.spreads for one in link.arguments):
            return False
        return len(link.arguments) == 1 or all(
            self.value_of(one).text != HOLE for one in link.arguments
        )

    def _method_given(self, links: list[Link]) -> tuple[str, int] | None:
        """Return the method among the arguments and where it is named."""
        for link in links:
            for argument in link.arguments:
                value = self.value_of(argument)
                for given in value.under("method"):
                    if (method := method_of(given)) is not None:
                        return method, link.name_at
                if (method := method_of(value)) is not None:
                    return method, link.name_at
        for link in links:
            for item in (item for one in link.arguments for item in self._items(one)):
                value = self.value_of(item)
                if (method := method_of(value)) is not None:
                    return method, link.name_at
                if _FLAG.fullmatch(value.text):
                    return "DELETE", link.name_at
        return None

    def _items(self, node: SgNode) -> list[SgNode]:
        """Return what a list holds, also one that a variable holds."""
        node = self._source.unwrapped(node)
        if node.kind() in self._kinds.names:
            found = self._source.assignments.before(
                self._source.assignments.key(node.text()), span_of(node)[0]
            )
            if len(found) != 1:
                return []
            node = self._source.unwrapped(found[0][1])
        if node.kind() in self._kinds.arguments or not re.search(
            r"list|array|slice|vec|tuple|composite_literal|literal_value|collection", node.kind()
        ):
            return []
        items = node.named_children()
        if node.kind() == "composite_literal":
            items = items[-1].named_children()
        return items[:40]

    def _assigned_methods(self) -> Iterator[tuple[Value, Value, SgNode]]:
        """Return requests whose method is assigned: ``request.method = "DELETE"``."""
        for key in (".method", ".Method", ".httpMethod", ".get_method", ".method_mut()"):
            for node in self._source.assignments.index.get(key, ()):
                target, value, _ = sides_of(node)
                if value is None or target is None:
                    continue
                if method_of(self.value_of(value)) != "DELETE" and not re.search(
                    r"['\"]DELETE['\"]", value.text()
                ):
                    continue
                owner = target.named_children()
                if owner:
                    yield self.value_of(owner[0]), Value(), node

    @cached_property
    def literals(self) -> list[SgNode]:
        """The literals that hold the route, or begin to."""
        found = find_all(self._source.root, self._kinds.strings)
        return [node for node in found if "invocations" in node.text()]

    def top(self, node: SgNode) -> SgNode:
        """Return the largest expression that puts a literal together with others."""
        return self._source.top(node)

    def value_of_call_around(self, node: SgNode) -> Value:
        """Return what the call makes that is given a literal: ``segments.extend(["a", id])``."""
        above = node.parent()
        for _ in range(4):
            if above is None or above.kind() in self._kinds.calls:
                break
            above = above.parent()
        return Value() if above is None else self.value_of(above)

    def function_around(self, node: SgNode) -> tuple[int, int]:
        """Return where the function around a node begins and ends, or the file."""
        return self._source.assignments.scope(node)

    def defines(self, name: str) -> bool:
        """Tell whether the file has a function of that name with a body."""
        return name in self._source.functions

    def functions(self) -> dict[str, SgNode]:
        """Return the functions of the file by name."""
        return self._source.functions


def _naming_the_method(links: list[Link]) -> Link | None:
    """Return the call of a chain that names the method.

    That is DELETE wherever it is; another one where it is given something, as future.get() is not.
    """
    for link in links:
        if link.rule.method == "DELETE":
            return link
    others = [link for link in links if link.rule.method != "argument"]
    return next((link for link in others if link.arguments), next(iter(others), None))
