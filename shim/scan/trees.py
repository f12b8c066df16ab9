"""Calls of programming languages: which request a call makes, read off the tree of its file.

An expression is followed to the text that it makes, as far as that is known: through variables
within their function, constants of the file, what functions of the file return, and what puts texts
together (``+``, ``format``, templates, ``urljoin``).  What is not known becomes ``HOLE``.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from ast_grep_py import Rule, SgNode, SgRoot

from shim.scan.judging import HOLE, SEP
from shim.scan.languages import Language
from shim.scan.languages import Rule as CallRule

_DEEPEST: Final = 40
_LONGEST: Final = 20_000
_STEPS: Final = 2_000
_MOST_TEXT: Final = 4_000
# Nobody writes more of them in one file.
_MOST_LITERALS: Final = 300
_LONGEST_NAME: Final = 200
_LONGEST_LABEL: Final = 300
_LONGEST_BLOCK: Final = 800
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_KEYS: Final = {
    "mode": "mode",
    "method": "method",
    "type": "method",
    "verb": "method",
    "http_method": "method",
    "httpmethod": "method",
    "requestmethod": "method",
}
_METHOD_NAME: Final = re.compile(
    r"(?i)(?:^|[.:])(?:http_?)?(?:method_?)?(get|head|post|put|patch|delete|options)$"
)
_FLAG: Final = re.compile(r"(?:-\w{0,10}X|--request=|--method=|-Method:)DELETE")
_MODE: Final = re.compile(r"mode=(\w+)")
_MODE_ITEM: Final = re.compile(r"\bmode[\"']?\s?\]\s?$")
_DOTS: Final = re.compile(r"\.|->|@")
_WORDS: Final = re.compile(r"[$\w]+")
_MAPS: Final = frozenset({"dict", "assign", "freeze", "of", "mapOf", "hashMapOf"})
_PATH_OF: Final = (".pathname", ".path", ".Path", ".RawPath")
_NAME: Final = re.compile(r"([\w$!]+)\W*$")
_GENERICS: Final = re.compile(r"(?:::)?<[^<>]{0,200}>\s*$")
_COMPUTED: Final = re.compile(r"\[[\"'](\w{1,40})[\"']\]")
_COLLECTION: Final = re.compile(
    r"(?i)(?:^|[._])invocations_?(?:url|uri|path|endpoint|route|base|api)$|^INVOCATIONS$"
)
_APPENDS: Final = frozenset({"append", "Append", "concat", "plus"})
_FIELD: Final = re.compile(
    r"^(?:self|this|@{1,2}|\$this|\w{1,3})\s*(?:\.|->|\?\.)\s*(?=\w)|^@{1,2}"
)
_QUOTES: Final = re.compile(r"^[\w@$]{0,3}#{0,3}(\"\"\"|'''|[\"'`])")
_PLACE: Final = re.compile(
    r"\{(?P<name>[\w.]{0,60})(?:[:!][^{}]{0,40})?\}|"
    r"%(?:\((?P<key>\w{1,60})\))?(?:\d\$)?[-+0# ]{0,3}[\d.]{0,5}[sdvqr]"
)
_MAKES_TEXT: Final = re.compile(r"(?i)format|printf|^concat$|interpolate|^t$")
_BLOCK: Final = re.compile(
    r"block|body|statements|^module$|^program$|source_file|suite|^then$|^else$|compilation_unit|case|arm$|clause|^when"
)
_TYPES: Final = re.compile(r"type|modifier|binding_pattern_kind|mutable_specifier|visibility")
_SKIPPED_IN_STRINGS: Final = re.compile(r"_start$|_end$|^interpolation_brace$|^[\"'`]+$")
# Interfaces of clients: Retrofit, Feign, Spring, Refit, MicroProfile, Micronaut.
_CLIENTS: Final = re.compile(
    r"(?i)retrofit|FeignClient|HttpExchange|DeleteExchange|Refit|RegisterRestClient|feign\.|http\.client"
)
_CURL: Final = re.compile(
    r"(?:^|[\s;&|(\"'/])(?:curl|wget|https?|xh|xhs|Invoke-\w{1,30})(?:\.exe)?\s"
)


@dataclass(frozen=True, slots=True)
class Value:
    """The text that an expression makes.

    ``holes`` labels each ``HOLE`` of ``text``.  ``keyed`` is what is passed under a name that
    matters: the mode, the method.  ``literals`` is where the literals in it begin.
    """

    text: str = ""
    holes: tuple[str, ...] = ()
    keyed: tuple[tuple[str, Value], ...] = ()
    literals: frozenset[int] = frozenset()

    @property
    def words(self) -> str:
        """Return all that stands in it, for signs to be looked for."""
        return f"{self.text} {' '.join(self.holes)}"

    def under(self, key: str) -> tuple[Value, ...]:
        """Return what is passed under a key."""
        return tuple(value for name, value in self.keyed if name == key)

    @property
    def spelled(self) -> str:
        """Return the text, or ``HOLE`` and the labels where it is not all known."""
        return HOLE + " ".join((*self.holes, self.text)) if self.holes else self.text


@dataclass(frozen=True, slots=True)
class Link:
    """One call of a chain: ``.delete(url)`` in ``client.delete(url).send()``."""

    node: SgNode
    callee: str
    name: str
    name_at: int
    arguments: tuple[SgNode, ...]
    rule: CallRule


@dataclass(frozen=True, slots=True)
class Site:
    """A call that may be a request.

    ``start`` and ``end`` are where it stands, ``at`` where the method is named, all in characters.
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


def _join(values: Iterable[Value], by: str = "") -> Value:
    values = list(values)
    if sum(len(value.text) + len(value.holes) + len(value.keyed) for value in values) > _MOST_TEXT:
        return _opaque("")
    return Value(
        by.join(value.text for value in values),
        tuple(hole for value in values for hole in value.holes),
        tuple(pair for value in values for pair in value.keyed),
        frozenset().union(*(value.literals for value in values)),
    )


def _opaque(label: str, inner: Value | None = None) -> Value:
    inner = inner or Value()
    return Value(HOLE, (label[:_LONGEST_LABEL],), inner.keyed, inner.literals)


def _has_route(value: Value) -> bool:
    return "invocation" in value.text.lower()


class Tree:
    """The tree of one file."""

    def __init__(self, text: str, language: Language) -> None:
        self.text = text
        self.language = language
        self.kinds = language.kinds
        self.root = SgRoot(text, language.grammar).root()
        self._values: dict[tuple[int, int, str], Value] = {}
        self._busy: set[tuple[int, int, str]] = set()
        self._bound: list[dict[str, Value]] = []
        self._steps = 0
        self._most_steps = _STEPS + len(text)

    # What is there.

    def _all(self, kinds: Iterable[str]) -> list[SgNode]:
        return _find(self.root, kinds)

    def broken_line(self) -> int | None:
        """Return the first line that the grammar does not know, or ``None``."""
        if self.root.kind() == "ERROR":
            return 1
        error = self.root.find(kind="ERROR")
        return None if error is None else error.range().start.line + 1

    def sites(self) -> Iterator[Site]:
        """Return every call that may be a request, the outer ones first."""
        inner: set[tuple[int, int]] = set()
        for node in self._all(self.kinds.calls):
            if _span(node) not in inner:
                links, root = self.chain(node)
                inner.update(_span(link.node) for link in links[:-1])
                if links[-1].name not in _MAPS:
                    yield self._site(node, links, root)
        for target, value, node in self._assigned_methods():
            yield Site(
                *_span(node),
                _span(node)[0],
                self.language.fallback,
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
        values = [self.value(one) for one in arguments]
        values += [self.value(item) for one in arguments for item in self._items(one)]
        given = self._method_given(links, values)
        if given is not None:
            method, at = given
        asking = next((link for link in links if link.rule.otherwise), None)
        if method is None and asking and given is None and self._no_options(asking):
            method = asking.rule.otherwise
        if root is not None and not any(map(_has_route, values)):
            values.append(self.value(root))
        elif root is not None:
            values.append(replace(self.value(root), text="", literals=frozenset()))
        link = named or asking or links[-1]
        return Site(*_span(node), at, link.rule, method, tuple(values), node, link, is_route)

    def _is_route(self, node: SgNode, link: Link) -> bool:
        """Tell whether it declares what a server answers, not what a client asks."""
        if node.kind() in self.kinds.annotations:
            return _CLIENTS.search(self.text) is None
        above = node.parent()
        if above is not None and above.kind() == "decorator":
            return True
        handlers = {one.kind() for one in link.arguments} & self.kinds.functions
        # A block says what to send, where it is somebody that is told to.
        return bool(handlers - self.kinds.blocks) or bool(handlers and link.callee == link.name)

    def _no_options(self, link: Link) -> bool:
        """Tell whether a call is given nothing that might hold a method."""
        return all(
            value.text != HOLE or index == 0
            for index, value in enumerate(map(self.value, link.arguments))
        )

    def _method_given(self, links: list[Link], values: list[Value]) -> tuple[str, int] | None:
        """Return the method among the arguments and where it is named."""
        for link in links:
            for argument in link.arguments:
                value = self.value(argument)
                for given in value.under("method"):
                    if (method := _method_of(given)) is not None:
                        return method, link.name_at
                if (method := _method_of(value)) is not None:
                    return method, link.name_at
        for value in values:
            if (method := _method_of(value)) is not None:
                return method, links[-1].name_at
        for value in values:
            if _FLAG.fullmatch(value.text):
                return "DELETE", links[-1].name_at
        return None

    def _items(self, node: SgNode) -> list[SgNode]:
        """Return what a list holds, also one that a variable holds."""
        node = self._unwrapped(node)
        if node.kind() in self.kinds.names:
            found = self._assignments(self._key(node.text()), _span(node)[0])
            if len(found) != 1:
                return []
            node = self._unwrapped(found[0][1])
        if node.kind() in self.kinds.arguments or not re.search(
            r"list|array|slice|vec|tuple|composite_literal|literal_value|collection", node.kind()
        ):
            return []
        items = node.named_children()
        if node.kind() == "composite_literal":
            items = items[-1].named_children()
        return items[:40]

    def _unwrapped(self, node: SgNode) -> SgNode:
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

    def _assigned_methods(self) -> Iterator[tuple[Value, Value, SgNode]]:
        """Return requests whose method is assigned: ``request.method = "DELETE"``."""
        for key in (".method", ".Method", ".get_method"):
            for node in self._index.get(key, ()):
                target, value, _ = _sides(node)
                if value is None or target is None:
                    continue
                if _method_of(self.value(value)) != "DELETE" and not re.search(
                    r"['\"]DELETE['\"]", value.text()
                ):
                    continue
                owner = target.named_children()
                if owner:
                    yield self.value(owner[0]), Value(), node

    @cached_property
    def literals(self) -> list[SgNode]:
        """The literals that hold the route, or begin to."""
        found = self._all(self.kinds.strings)
        return [node for node in found if "invocations" in node.text()][:_MOST_LITERALS]

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

    def function_around(self, node: SgNode) -> tuple[int, int]:
        """Return where the function around a node begins and ends, or the file."""
        return self._scope(node)

    def defines(self, name: str) -> bool:
        """Tell whether the file has a function of that name with a body."""
        return name in self._functions

    @cached_property
    def _functions(self) -> dict[str, SgNode]:
        found = {}
        for node in self._all(self.kinds.functions):
            name = _name_of_function(node)
            if name:
                found[name] = node
        return found

    def functions(self) -> dict[str, SgNode]:
        """Return the functions of the file by name."""
        return self._functions

    # Chains of calls.

    def chain(self, node: SgNode) -> tuple[list[Link], SgNode | None]:
        """Return the calls of a chain, the first one first, and what the first is called on."""
        links: list[Link] = []
        root: SgNode | None = None
        current: SgNode | None = node
        while current is not None and len(links) < 60:
            children = current.named_children()
            arguments = [one for one in children if one.kind() in self.kinds.arguments]
            before = [one for one in children if one.kind() not in self.kinds.arguments]
            start, end = _span(current)
            callee_end = _span(arguments[0])[0] if arguments else end
            nested = self._nested(before[0]) if before else None
            callee_start = _span(nested)[1] if nested is not None else start
            callee = self.text[max(callee_start, callee_end - 300) : callee_end]
            callee = _GENERICS.sub("", callee).rstrip("( \n\t")
            name = _NAME.search(callee)
            words = _COMPUTED.sub(r".\1", " ".join(callee.split()))
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

    # What an expression makes.

    def label(self, node: SgNode) -> str:
        """Return the beginning of a node's text, which may be as long as the file."""
        start, end = _span(node)
        return self.text[start : min(end, start + _LONGEST_LABEL)]

    def value(self, node: SgNode, depth: int = 0) -> Value:
        """Return the text that an expression makes."""
        start, end = _span(node)
        key = (start, end, node.kind())
        if not self._bound and key in self._values:
            return self._values[key]
        self._steps += 1
        if depth > _DEEPEST or end - start > _LONGEST or self._steps > self._most_steps:
            return _opaque("")
        if key in self._busy:
            return _opaque(self.label(node))
        self._busy.add(key)
        found = self._value(node, depth + 1)
        self._busy.discard(key)
        if not self._bound:
            self._values[key] = found
        return found

    def _value(self, node: SgNode, depth: int) -> Value:
        kind = node.kind()
        for kinds, follow in self._ways:
            if kind in kinds:
                return follow(node, depth)
        children = node.named_children()
        if not children:
            return _opaque(self.label(node))
        if len(children) == 2 and kind in self.kinds.pairs:
            return self._pair(children[0], children[1], node, depth)
        if len(children) == 1 and "shorthand" not in children[0].kind():
            return self.value(children[0], depth)
        if kind in self.kinds.joins:
            return self._joined(node, children, depth)
        return self._composite(node, children, depth)

    @cached_property
    def _ways(self) -> tuple[tuple[frozenset[str], Callable[[SgNode, int], Value]], ...]:
        return (
            (self.kinds.strings, self._string),
            (self.kinds.calls, self._call),
            (self.kinds.functions, self._function),
            (self.kinds.names, self._name),
            (self.kinds.members, self._member),
            (self.kinds.choices, self._choice),
            (frozenset({"token_tree"}), self._tokens),
        )

    def _name(self, node: SgNode, depth: int) -> Value:
        return self._named(node.text(), node, depth)

    def _function(self, node: SgNode, depth: int) -> Value:
        start, end = _span(node)
        if node.kind() not in self.kinds.blocks or end - start > _LONGEST_BLOCK:
            return _opaque("")
        found = _join((self.value(one, depth) for one in node.named_children()), SEP)
        return found if _has_route(found) else _opaque("", found)

    def _composite(self, node: SgNode, children: list[SgNode], depth: int) -> Value:
        values = [self.value(one, depth) for one in children[:80]]
        keyed: list[tuple[str, Value]] = []
        for left, _right, value in zip(children, children[1:], values[1:], strict=False):
            if left.kind() in self.kinds.strings and _bare(left.text()) in _KEYS:
                keyed.append((_KEYS[_bare(left.text())], value))
        for left, value in zip(children, values, strict=False):
            if "shorthand" in left.kind() and left.text() in _KEYS:
                keyed.append((_KEYS[left.text()], value))
        joined = _join(values, SEP)
        joined = replace(joined, keyed=joined.keyed + tuple(keyed))
        return joined if _has_route(joined) else _opaque(self.label(node), joined)

    def _pair(self, left: SgNode, right: SgNode, node: SgNode, depth: int) -> Value:
        value = self.value(right, depth)
        key = _KEYS.get(_bare(left.text()))
        if key is not None:
            value = replace(value, keyed=(*value.keyed, (key, value)))
        elif left.kind() not in self.kinds.names and left.kind() not in self.kinds.strings:
            value = replace(value, keyed=value.keyed + self.value(left, depth).keyed)
        if _MODE_ITEM.search(left.text()[-20:]):
            value = replace(value, keyed=(*value.keyed, ("mode", value)))
        if _has_route(value) or key is not None:
            return value
        return _opaque(self.label(node), value)

    def _choice(self, node: SgNode, depth: int) -> Value:
        return _either([self.value(one, depth) for one in node.named_children()], self.label(node))

    def _joined(self, node: SgNode, children: list[SgNode], depth: int) -> Value:
        operator = "".join(one.text() for one in node.children() if not one.is_named())
        if operator in ("+", ".", "", "..", "&", "<<"):
            return _join(self.value(one, depth) for one in children)
        if operator == "%" and len(children) == 2:
            return self._filled(self.value(children[0], depth), self._list(children[1]), depth)
        if operator == "/":
            found = _join((self.value(one, depth) for one in children), SEP)
            if _has_route(found):
                return found
        return _either([self.value(one, depth) for one in children], self.label(node))

    def _list(self, node: SgNode) -> list[SgNode]:
        node_kind = node.kind()
        if re.search(r"tuple|list|array|dict|hash|parenthesized", node_kind):
            return node.named_children()
        return [node]

    def _string(self, node: SgNode, depth: int) -> Value:
        start = _span(node)[0]
        children = node.children()
        named = [one for one in children if one.is_named()]
        if not named:
            text = node.text()
            quote = _QUOTES.match(text)
            body = text[quote.end() :].rstrip("#") if quote else text
            body = body.removesuffix(quote[1]) if quote else body
            return Value(body, literals=frozenset({start}))
        parts: list[Value] = []
        for child in named:
            kind = child.kind()
            if kind in self.kinds.holes or kind in self.kinds.names:
                inner = [one for one in child.named_children() if "brace" not in one.kind()]
                if kind in self.kinds.names or not inner:
                    parts.append(self._named(child.text(), child, depth))
                else:
                    parts.append(self.value(inner[0], depth))
            elif kind in self.kinds.strings or kind in self.kinds.members:
                parts.append(self.value(child, depth))
            elif kind == "escape_sequence":
                parts.append(
                    Value({'\\"': '"', "\\'": "'", "\\/": "/", "\\$": "$"}.get(child.text(), " "))
                )
            elif not _SKIPPED_IN_STRINGS.search(kind):
                parts.append(Value(child.text()))
        joined = _join(parts)
        return replace(joined, literals=joined.literals | {start})

    def _tokens(self, node: SgNode, depth: int) -> Value:
        """Return what the arguments of a macro make: the first with the others filled in."""
        groups: list[list[SgNode]] = [[]]
        for child in node.children()[1:-1][:200]:
            if child.text() == ",":
                groups.append([])
            else:
                groups[-1].append(child)
        values = []
        for group in groups:
            if len(group) == 1:
                values.append(self.value(group[0], depth))
            elif group:
                text = self.text[_span(group[0])[0] : _span(group[-1])[1]]
                values.append(self._named(text, group[-1], depth))
        if not values:
            return Value()
        return self._fill(values[0], values[1:], node, depth)

    def _call(self, node: SgNode, depth: int) -> Value:
        links, root = self.chain(node)
        link = links[-1]
        if link.arguments and link.arguments[0].kind() == "token_tree":
            made = self._tokens(link.arguments[0], depth)
            return made if _MAKES_TEXT.search(link.name) else _opaque(self.label(node), made)
        if _MAKES_TEXT.search(link.name):
            made_text = self._formatted(links, root, node, depth)
            if made_text is not None:
                return made_text
        if len(links) == 1 and (returned := self._returned(link, depth)) is not None:
            return returned
        values = []
        if root is not None and (
            root.kind() in self.kinds.names | self.kinds.strings | self.kinds.members
            or link.name == "join"
        ):
            values.append(self.value(root, depth))
        keyed: list[tuple[str, Value]] = []
        for one in links:
            values += [self.value(each, depth) for each in one.arguments]
            for left, right in zip(one.arguments, one.arguments[1:], strict=False):
                key = self._unwrapped(left)
                if key.kind() in self.kinds.strings and _bare(key.text()) == "mode":
                    keyed.append(("mode", self.value(right, depth)))
        appended = {one.name for one in links[1:]} <= _APPENDS
        joined = _join(values, "" if len(links) > 1 and appended else SEP)
        # A request that is made is its own: its method is not that of what is given it.
        pairs = tuple(one for one in joined.keyed if one[0] != "method" or link.name in _MAPS)
        joined = replace(joined, keyed=pairs + tuple(keyed))
        return joined if _has_route(joined) else _opaque(self.label(node), joined)

    def _formatted(
        self, links: list[Link], root: SgNode | None, node: SgNode, depth: int
    ) -> Value | None:
        """Return what a call fills into a template: what it is called on, or an argument."""
        values = [self.value(one, depth) for one in links[-1].arguments]
        if len(links) == 1 and root is not None:
            values.insert(0, self.value(root, depth))
        for number, value in enumerate(values):
            if _PLACE.search(value.text):
                return self._fill(value, values[number + 1 :], node, depth)
        return None

    def _returned(self, link: Link, depth: int) -> Value | None:
        """Return what a function of the file returns, called with these arguments."""
        function = self._functions.get(link.name)
        if function is None or depth > 12 or len(self._bound) > 3:
            return None
        body = self._result_of(function)
        if body is None:
            return None
        names = _parameters(function)
        values = [self.value(one, depth) for one in link.arguments]
        self._bound.append(dict(zip(names, values, strict=False)))
        try:
            found = self.value(body, depth)
        finally:
            self._bound.pop()
        return found if _has_route(found) or not found.holes else None

    def _result_of(self, function: SgNode) -> SgNode | None:
        for node in _find(function, self.kinds.returns):
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

    def _filled(self, template: Value, arguments: list[SgNode], depth: int) -> Value:
        return self._fill(template, [self.value(one, depth) for one in arguments], None, depth)

    def _fill(self, template: Value, values: list[Value], node: SgNode | None, depth: int) -> Value:
        """Put values in a template's places: ``{}``, ``{0}``, ``{name}``, ``%s``, ``%(name)s``."""
        parts: list[Value] = []
        at = taken = hole = 0
        named: dict[str, Value] = {}
        for place in _PLACE.finditer(template.text):
            name = place["name"] or place["key"] or ""
            before = template.text[at : place.start()]
            count = before.count(HOLE)
            parts.append(Value(before, template.holes[hole : hole + count]))
            hole += count
            at = place.end()
            if name.isdigit() and int(name) < len(values):
                parts.append(values[int(name)])
            elif name:
                for value in values:
                    named.update(
                        (label.partition("=")[0].strip(), value) for label in value.holes[:1]
                    )
                if node is not None and name not in named:
                    parts.append(self._named(name, node, depth))
                else:
                    parts.append(_opaque(named[name].spelled) if name in named else _opaque(name))
            elif taken < len(values):
                parts.append(values[taken])
                taken += 1
            else:
                parts.append(_opaque(place[0]))
        parts.append(Value(template.text[at:], template.holes[hole:]))
        joined = _join(parts)
        rest = _join(values)
        return replace(
            joined,
            keyed=joined.keyed + template.keyed,
            literals=joined.literals | template.literals | rest.literals,
        )

    # Variables.

    def _key(self, text: str) -> str:
        text = text.strip().lstrip("&*")
        if (_FIELD.match(text) and not text.startswith("$")) or text.startswith("$this"):
            return "." + _DOTS.split(text)[-1].strip("?!")
        return text.lstrip("$")

    def _named(self, text: str, node: SgNode, depth: int) -> Value:
        bare = text.strip().lstrip("$&*")
        if depth > _DEEPEST:
            return _opaque(text)
        for bound in reversed(self._bound):
            if bare in bound:
                value = bound[bare]
                return value if value.text else _opaque(text)
        found = self._assignments(self._key(text), _span(node)[0])
        if not found and "." in text:
            found = self._assignments("." + text.rpartition(".")[2], _span(node)[0])
        values = [self._assigned(one, depth) for one in found[:6]]
        known = _either(values, text) if values else None
        path = self._path_of(bare, node, depth)
        if path is not None:
            known = path if known is None else _join((known, path), SEP)
        if known is None:
            known = self._property(bare, depth)
        if known is None and _COLLECTION.search(bare):
            return Value(f"{HOLE}/invocations", (text,))
        if known is None:
            return _opaque(text)
        if known.text == HOLE:
            return Value(
                HOLE,
                (f"{text} {known.holes[0] if known.holes else ''}"[:300],),
                known.keyed,
                known.literals,
            )
        return known

    def _property(self, name: str, depth: int) -> Value | None:
        """Return what a property that is a method makes, as of Python."""
        if not _FIELD.match(name) or depth > 12 or len(self._bound) > 3:
            return None
        function = self._functions.get(name.rpartition(".")[2])
        body = None if function is None else self._result_of(function)
        return None if body is None else self.value(body, depth)

    def _path_of(self, name: str, node: SgNode, depth: int) -> Value | None:
        """Return the path that a URL is given: ``url.pathname = "/invocations/" + id``."""
        for key in _PATH_OF:
            for target, value, _ in self._assignments(key, _span(node)[0]):
                owner = _sides(target)[0]
                if (
                    owner is not None
                    and owner.text() == name + key
                    and _span(target) != _span(node)
                ):
                    return self.value(value, depth)
        return None

    def _member(self, node: SgNode, depth: int) -> Value:
        text = self.label(node)
        if len(text) > _LONGEST_NAME:
            return _opaque(text)
        found = self._named("".join(text.split()), node, depth)
        if found.text != HOLE:
            return found
        children = node.named_children()
        owner = self.value(children[0], depth) if children else Value()
        if _has_route(owner):
            # What is built of a URL, such as url.href, is that URL.
            return owner
        return Value(
            HOLE,
            (f"{text} {' '.join((*owner.holes, owner.text))}"[:300],),
            found.keyed,
            found.literals,
        )

    def _assigned(self, one: tuple[SgNode, SgNode, str], depth: int) -> Value:
        node, value, operator = one
        found = self.value(value, depth)
        if operator in ("+=", ".=", "<<"):
            target = _sides(node)[0]
            if target is not None:
                return _join((self._named(target.text(), node, depth + 1), found))
        return found

    @cached_property
    def _index(self) -> dict[str, list[SgNode]]:
        """Return the assignments of the file by the name of what they are to."""
        found: dict[str, list[SgNode]] = {}
        for node in self._all(self.kinds.assigns):
            target, _, _ = _sides(node)
            if target is None:
                continue
            targets = (
                target.named_children() if re.search(r"list|tuple", target.kind()) else [target]
            )
            for one in targets:
                text = "".join(one.text().split())
                key = self._key(text)
                if "." in text and not key.startswith("."):
                    key = "." + text.rpartition(".")[2]
                found.setdefault(key, []).append(node)
                if (
                    not key.startswith(".")
                    and re.search(r"field|property|const|class_parameter|assignment", node.kind())
                ) or key.isupper():
                    found.setdefault("." + key, []).append(node)
        return found

    def _assignments(self, key: str, at: int) -> list[tuple[SgNode, SgNode, str]]:
        """Return the assignments that may have given a variable its value at a place.

        The last one before it in the innermost function that has one, with those before that one
        that it need not follow upon: of other branches.
        """
        nodes = self._index.get(key, [])
        if not nodes:
            return []
        inside = [(self._scope(node), node) for node in nodes[:200]]
        inside = [(scope, node) for scope, node in inside if scope[0] <= at <= scope[1]]
        if not inside:
            if not key.startswith("."):
                return []
            inside = [((0, len(self.text)), node) for node in nodes[:200]]
        innermost = max(scope[0] for scope, _ in inside)
        mine = [node for scope, node in inside if scope[0] == innermost]
        before = [node for node in mine if _span(node)[1] <= at]
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
        target, value, operator = _sides(node)
        if target is None or value is None:
            return None
        if re.search(r"list|tuple", target.kind()):
            names = [self._key(one.text()) for one in target.named_children()]
            values = value.named_children() if re.search(r"list|tuple", value.kind()) else []
            if key in names and len(values) == len(names):
                value = values[names.index(key)]
            elif key in names and names.index(key) > 0:
                return None
        return node, value, operator

    def _is_sure(self, node: SgNode, at: int) -> bool:
        """Tell whether an assignment is made whenever a later place is reached."""
        above = node.parent()
        for _ in range(_DEEPEST):
            if above is None:
                break
            if _BLOCK.search(above.kind()):
                start, end = _span(above)
                return start <= at <= end
            above = above.parent()
        return True

    def _scope(self, node: SgNode) -> tuple[int, int]:
        """Return where the innermost function around a node begins and ends, or the file."""
        starts, spans, above = self._nesting
        at = _span(node)[0]
        inner = bisect_right(starts, at) - 1
        while inner >= 0 and (spans[inner][1] <= at or spans[inner] == _span(node)):
            inner = above[inner]
        return spans[inner] if inner >= 0 else (0, len(self.text))

    @cached_property
    def _nesting(self) -> tuple[list[int], list[tuple[int, int]], list[int]]:
        """Return where functions begin, their spans, and for each the one around it, or -1."""
        spans = sorted(
            {_span(node) for node in self._all(self.kinds.functions)},
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


def _find(node: SgNode, kinds: Iterable[str]) -> list[SgNode]:
    rules = [Rule(kind=kind) for kind in sorted(kinds)]
    return node.find_all(any=rules) if rules else []


def _naming_the_method(links: list[Link]) -> Link | None:
    """Return the call of a chain that names the method.

    That is DELETE wherever it is; another one where it is given something, as future.get() is not.
    """
    for link in links:
        if link.rule.method == "DELETE":
            return link
    others = [link for link in links if link.rule.method != "argument"]
    return next((link for link in others if link.arguments), next(iter(others), None))


def _span(node: SgNode) -> tuple[int, int]:
    where = node.range()
    return where.start.index, where.end.index


def _bare(text: str) -> str:
    return text.strip("\"'`:@$ []").lower()


def _method_of(value: Value) -> str | None:
    text = value.text.strip()
    if text.upper() in METHODS and not value.holes:
        return text.upper()
    if text == HOLE and len(value.holes) == 1 and not value.keyed:
        # A variable's name comes first, and then what it was given.
        for word in value.holes[0].split()[:4]:
            if (found := _METHOD_NAME.search(word.strip("()"))) is not None:
                return found[1].upper()
    return None


def _either(values: list[Value], label: str) -> Value:
    """Return what one of several values is: the same, or a URL with what they differ in unknown."""
    if not values:
        return _opaque(label)
    if len({value.text for value in values}) == 1 and values[0].text != HOLE:
        return replace(values[0], literals=frozenset().union(*(one.literals for one in values)))
    routes = [value for value in values if _has_route(value)]
    merged = _join(values)
    if not routes:
        known = " ".join(value.text for value in values if value.text != HOLE)
        return _opaque(f"{label} {known} {' '.join(merged.holes)}", merged)
    modes = {tuple(_MODE.findall(value.text)) for value in routes}
    best = max(routes, key=lambda value: "mode=" in value.text)
    if len(modes) > 1:
        text = _MODE.sub(f"mode={HOLE}", best.text, count=1)
        before = text[: text.find(f"mode={HOLE}")].count(HOLE)
        holes = (*best.holes[:before], label if "mode" not in label else "", *best.holes[before:])
        best = replace(best, text=text, holes=holes)
    return replace(best, literals=merged.literals)


def _sides(node: SgNode) -> tuple[SgNode | None, SgNode | None, str]:
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
    if value is not None and target is not None and _span(value) == _span(target):
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


def _name_of_function(node: SgNode) -> str | None:
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


def _parameters(function: SgNode) -> list[str]:
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
