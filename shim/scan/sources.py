"""One file of a programming language: its tree, its functions, its chains of calls."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from ast_grep_py import SgNode, SgRoot

from shim.scan.assignments import Assignments
from shim.scan.languages import Language
from shim.scan.languages import Rule as CallRule
from shim.scan.nodes import find_all, name_of_function, span_of
from shim.scan.values import LONGEST_LABEL

_NAME: Final = re.compile(r"([\w$!]+)\W*$")
_GENERICS: Final = re.compile(r"(?:::)?<[^<>]{0,200}>\s*$")
_DOT: Final = re.compile(r" ?(\.|->|::) ?")
_COMPUTED: Final = re.compile(r"\[[\"'](\w{1,40})[\"']\]")


@dataclass(frozen=True, slots=True)
class Link:
    """One call of a chain: ``.delete(url)`` in ``client.delete(url).send()``."""

    node: SgNode
    callee: str
    name: str
    name_at: int
    arguments: tuple[SgNode, ...]
    rule: CallRule


class Source:
    """What stands in one file."""

    def __init__(self, text: str, language: Language) -> None:
        self.text = text
        self.language = language
        self.kinds = language.kinds
        self.root = SgRoot(text, language.grammar).root()
        self.assignments = Assignments(self.root, text, language.kinds)
        self._results: dict[tuple[int, int], SgNode | None] = {}

    def broken_line(self) -> int | None:
        """Return the first line that the grammar does not know, or ``None``."""
        if self.root.kind() == "ERROR":
            return 1
        error = self.root.find(kind="ERROR")
        return None if error is None else error.range().start.line + 1

    @cached_property
    def functions(self) -> dict[str, SgNode]:
        """The functions of the file by name."""
        found = {}
        for node in find_all(self.root, self.kinds.functions):
            name = name_of_function(node)
            if name:
                found[name] = node
        return found

    def result_of(self, function: SgNode) -> SgNode | None:
        """Return the expression that a function returns, or ``None``."""
        span = span_of(function)
        if span not in self._results:
            self._results[span] = self._find_result(function)
        return self._results[span]

    def _find_result(self, function: SgNode) -> SgNode | None:
        for node in find_all(function, self.kinds.returns):
            if node.named_children():
                return node.named_children()[0]
        # An expression as the body: of arrows in JavaScript, of Kotlin, Rust and Ruby.
        body = function.field("body") or next(reversed(function.named_children()), None)
        for _ in range(6):
            if body is None or body.kind() in self.kinds.strings or body.kind() in self.kinds.calls:
                break
            children = body.named_children()
            if not children or not re.search(r"block|body|statement", body.kind()):
                break
            body = children[-1]
        if body is None or re.search(r"block|body|statement|declaration", body.kind()):
            return None
        return body

    def label(self, node: SgNode) -> str:
        """Return the beginning of a node's text, which may be as long as the file."""
        start, end = span_of(node)
        return self.text[start : min(end, start + LONGEST_LABEL)]

    def unwrapped(self, node: SgNode) -> SgNode:
        """Return what stands alone within others: of parentheses, statements, arguments."""
        for _ in range(8):
            children = node.named_children()
            if (
                len(children) != 1
                or node.kind() in self.kinds.strings
                or re.search(r"list$|array|tuple|literal_value|collection|initializer", node.kind())
            ):
                break
            node = children[0]
        return node

    def top(self, node: SgNode) -> SgNode:
        """Return the largest expression that puts a literal together with others."""
        for _ in range(30):
            above = node.parent()
            if above is None:
                break
            wraps = above.kind() in self.kinds.joins or above.kind() in self.kinds.strings
            if not wraps and not re.search(r"^parenthesized|concatenated", above.kind()):
                break
            node = above
        return node

    def chain(self, node: SgNode) -> tuple[list[Link], SgNode | None]:
        """Return the calls of a chain, the first one first, and what the first is called on."""
        links: list[Link] = []
        root: SgNode | None = None
        current: SgNode | None = node
        while current is not None and len(links) < 60:
            children = current.named_children()
            arguments = [one for one in children if one.kind() in self.kinds.arguments]
            before = [one for one in children if one.kind() not in self.kinds.arguments]
            start, end = span_of(current)
            callee_end = span_of(arguments[0])[0] if arguments else end
            nested = self._nested(before[0]) if before else None
            callee_start = span_of(nested)[1] if nested is not None else start
            callee = self.text[max(callee_start, callee_end - 300) : callee_end]
            callee = _GENERICS.sub("", callee).rstrip("( \n\t")
            name = _NAME.search(callee)
            words = _DOT.sub(r"\1", _COMPUTED.sub(r".\1", " ".join(callee.split())))
            links.append(
                Link(
                    current,
                    words,
                    name[1] if name else "",
                    (callee_end - len(self.text[callee_start:callee_end].lstrip(" \n\t")))
                    if name is None
                    else max(callee_start, callee_end - 300) + name.start(1),
                    tuple(self._each(arguments)),
                    self.language.rule_of(words),
                )
            )
            if nested is None:
                root = before[0] if before else None
            current = nested
        links.reverse()
        if root is not None and root.kind() in self.kinds.members:
            # What is called is a member: its owner is what matters.
            inner = root.named_children()
            root = inner[0] if inner else None
        return links, root

    def _nested(self, node: SgNode) -> SgNode | None:
        """Return the call that a callee is a member of."""
        for _ in range(12):
            if node.kind() in self.kinds.calls:
                return node
            children = node.named_children()
            if (
                not children
                or node.kind() in self.kinds.strings
                or node.kind() in self.kinds.functions
            ):
                return None
            node = children[0]
        return None

    def _each(self, groups: list[SgNode]) -> Iterator[SgNode]:
        for group in groups:
            if group.kind() == "token_tree" or group.kind() in self.kinds.strings:
                yield group
                continue
            for one in group.named_children()[:60]:
                if one.kind() in self.kinds.arguments - self.kinds.strings:
                    yield from one.named_children()[:60]
                elif "comment" not in one.kind():
                    yield one
