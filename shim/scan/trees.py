"""Calls of programming languages: which request a call makes, read off the tree of its file.

An expression is followed to the text that it makes, as far as that is known: through variables
within their function, constants of the file, what functions of the file return, and what puts texts
together (``+``, ``format``, templates, ``urljoin``).  What is not known becomes ``HOLE``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from ast_grep_py import SgNode, SgRoot

from shim.scan.assignments import FIELD, Assignments
from shim.scan.judging import HOLE, SEP
from shim.scan.languages import Language
from shim.scan.languages import Rule as CallRule
from shim.scan.nodes import find_all, name_of_function, parameters_of, sides_of, span_of, unquoted
from shim.scan.values import LONGEST_LABEL, Value, either, has_route, join, method_of, opaque

_DEEPEST: Final = 40
_LONGEST: Final = 20_000
_STEPS: Final = 2_000
# Nobody writes more of them in one file.
_MOST_LITERALS: Final = 300
_LONGEST_NAME: Final = 200
_LONGEST_BLOCK: Final = 800
_KEYS: Final = {
    "mode": "mode",
    "method": "method",
    "type": "method",
    "verb": "method",
    "http_method": "method",
    "httpmethod": "method",
    "requestmethod": "method",
}
_FLAG: Final = re.compile(r"(?:-\w{0,10}X|--request=|--method=|-Method:)DELETE")
_MODE_ITEM: Final = re.compile(r"\bmode[\"']?\s?\]\s?$")
_MAPS: Final = frozenset({"dict", "assign", "freeze", "of", "mapOf", "hashMapOf"})
_PATH_OF: Final = (".pathname", ".path", ".Path", ".RawPath")
_NAME: Final = re.compile(r"([\w$!]+)\W*$")
_GENERICS: Final = re.compile(r"(?:::)?<[^<>]{0,200}>\s*$")
_COMPUTED: Final = re.compile(r"\[[\"'](\w{1,40})[\"']\]")
_COLLECTION: Final = re.compile(
    r"(?i)(?:^|[._])invocations_?(?:url|uri|path|endpoint|route|base|api)$|^INVOCATIONS$"
)
_APPENDS: Final = frozenset({"append", "Append", "concat", "plus"})
_QUOTES: Final = re.compile(r"^[\w@$]{0,3}#{0,3}(\"\"\"|'''|[\"'`])")
_PLACE: Final = re.compile(
    r"\{(?P<name>[\w.]{0,60})(?:[:!][^{}]{0,40})?\}|"
    r"%(?:\((?P<key>\w{1,60})\))?(?:\d\$)?[-+0# ]{0,3}[\d.]{0,5}[sdvqr]"
)
_MAKES_TEXT: Final = re.compile(r"(?i)format|printf|^concat$|interpolate|^t$")
_SKIPPED_IN_STRINGS: Final = re.compile(r"_start$|_end$|^interpolation_brace$|^[\"'`]+$")
# Interfaces of clients: Retrofit, Feign, Spring, Refit, MicroProfile, Micronaut.
_CLIENTS: Final = re.compile(
    r"(?i)retrofit|FeignClient|HttpExchange|DeleteExchange|Refit|RegisterRestClient|feign\.|http\.client"
)


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


class Tree:
    """The tree of one file."""

    def __init__(self, text: str, language: Language) -> None:
        self.text = text
        self.language = language
        self.kinds = language.kinds
        self.root = SgRoot(text, language.grammar).root()
        self.assignments = Assignments(self.root, text, language.kinds)
        self._values: dict[tuple[int, int, str], Value] = {}
        self._busy: set[tuple[int, int, str]] = set()
        self._bound: list[dict[str, Value]] = []
        self._steps = 0
        self._most_steps = _STEPS + len(text)

    # What is there.

    def _all(self, kinds: Iterable[str]) -> list[SgNode]:
        return find_all(self.root, kinds)

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
            if span_of(node) not in inner:
                links, root = self.chain(node)
                inner.update(span_of(link.node) for link in links[:-1])
                if links[-1].name not in _MAPS:
                    yield self._site(node, links, root)
        for target, value, node in self._assigned_methods():
            yield Site(
                *span_of(node),
                span_of(node)[0],
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
        if root is not None and not any(map(has_route, values)):
            values.append(self.value(root))
        elif root is not None:
            values.append(replace(self.value(root), text="", literals=frozenset()))
        link = named or asking or links[-1]
        return Site(*span_of(node), at, link.rule, method, tuple(values), node, link, is_route)

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
                    if (method := method_of(given)) is not None:
                        return method, link.name_at
                if (method := method_of(value)) is not None:
                    return method, link.name_at
        for value in values:
            if (method := method_of(value)) is not None:
                return method, links[-1].name_at
        for value in values:
            if _FLAG.fullmatch(value.text):
                return "DELETE", links[-1].name_at
        return None

    def _items(self, node: SgNode) -> list[SgNode]:
        """Return what a list holds, also one that a variable holds."""
        node = self._unwrapped(node)
        if node.kind() in self.kinds.names:
            found = self.assignments.before(self.assignments.key(node.text()), span_of(node)[0])
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
            for node in self.assignments.index.get(key, ()):
                target, value, _ = sides_of(node)
                if value is None or target is None:
                    continue
                if method_of(self.value(value)) != "DELETE" and not re.search(
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
        return self.assignments.scope(node)

    def defines(self, name: str) -> bool:
        """Tell whether the file has a function of that name with a body."""
        return name in self._functions

    @cached_property
    def _functions(self) -> dict[str, SgNode]:
        found = {}
        for node in self._all(self.kinds.functions):
            name = name_of_function(node)
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
            start, end = span_of(current)
            callee_end = span_of(arguments[0])[0] if arguments else end
            nested = self._nested(before[0]) if before else None
            callee_start = span_of(nested)[1] if nested is not None else start
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
        start, end = span_of(node)
        return self.text[start : min(end, start + LONGEST_LABEL)]

    def value(self, node: SgNode, depth: int = 0) -> Value:
        """Return the text that an expression makes."""
        start, end = span_of(node)
        key = (start, end, node.kind())
        if not self._bound and key in self._values:
            return self._values[key]
        self._steps += 1
        if depth > _DEEPEST or end - start > _LONGEST or self._steps > self._most_steps:
            return opaque("")
        if key in self._busy:
            return opaque(self.label(node))
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
            return opaque(self.label(node))
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
        start, end = span_of(node)
        if node.kind() not in self.kinds.blocks or end - start > _LONGEST_BLOCK:
            return opaque("")
        found = join((self.value(one, depth) for one in node.named_children()), SEP)
        return found if has_route(found) else opaque("", found)

    def _composite(self, node: SgNode, children: list[SgNode], depth: int) -> Value:
        values = [self.value(one, depth) for one in children[:80]]
        keyed: list[tuple[str, Value]] = []
        for left, _right, value in zip(children, children[1:], values[1:], strict=False):
            if left.kind() in self.kinds.strings and unquoted(left.text()) in _KEYS:
                keyed.append((_KEYS[unquoted(left.text())], value))
        for left, value in zip(children, values, strict=False):
            if "shorthand" in left.kind() and left.text() in _KEYS:
                keyed.append((_KEYS[left.text()], value))
        joined = join(values, SEP)
        joined = replace(joined, keyed=joined.keyed + tuple(keyed))
        return joined if has_route(joined) else opaque(self.label(node), joined)

    def _pair(self, left: SgNode, right: SgNode, node: SgNode, depth: int) -> Value:
        value = self.value(right, depth)
        key = _KEYS.get(unquoted(left.text()))
        if key is not None:
            value = replace(value, keyed=(*value.keyed, (key, value)))
        elif left.kind() not in self.kinds.names and left.kind() not in self.kinds.strings:
            value = replace(value, keyed=value.keyed + self.value(left, depth).keyed)
        if _MODE_ITEM.search(left.text()[-20:]):
            value = replace(value, keyed=(*value.keyed, ("mode", value)))
        if has_route(value) or key is not None:
            return value
        return opaque(self.label(node), value)

    def _choice(self, node: SgNode, depth: int) -> Value:
        return either([self.value(one, depth) for one in node.named_children()], self.label(node))

    def _joined(self, node: SgNode, children: list[SgNode], depth: int) -> Value:
        operator = "".join(one.text() for one in node.children() if not one.is_named())
        if operator in ("+", ".", "", "..", "&", "<<"):
            return join(self.value(one, depth) for one in children)
        if operator == "%" and len(children) == 2:
            return self._filled(self.value(children[0], depth), self._list(children[1]), depth)
        if operator == "/":
            found = join((self.value(one, depth) for one in children), SEP)
            if has_route(found):
                return found
        return either([self.value(one, depth) for one in children], self.label(node))

    def _list(self, node: SgNode) -> list[SgNode]:
        node_kind = node.kind()
        if re.search(r"tuple|list|array|dict|hash|parenthesized", node_kind):
            return node.named_children()
        return [node]

    def _string(self, node: SgNode, depth: int) -> Value:
        start = span_of(node)[0]
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
        joined = join(parts)
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
                text = self.text[span_of(group[0])[0] : span_of(group[-1])[1]]
                values.append(self._named(text, group[-1], depth))
        if not values:
            return Value()
        return self._fill(values[0], values[1:], node, depth)

    def _call(self, node: SgNode, depth: int) -> Value:
        links, root = self.chain(node)
        link = links[-1]
        if link.arguments and link.arguments[0].kind() == "token_tree":
            made = self._tokens(link.arguments[0], depth)
            return made if _MAKES_TEXT.search(link.name) else opaque(self.label(node), made)
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
                if key.kind() in self.kinds.strings and unquoted(key.text()) == "mode":
                    keyed.append(("mode", self.value(right, depth)))
        appended = {one.name for one in links[1:]} <= _APPENDS
        joined = join(values, "" if len(links) > 1 and appended else SEP)
        # A request that is made is its own: its method is not that of what is given it.
        pairs = tuple(one for one in joined.keyed if one[0] != "method" or link.name in _MAPS)
        joined = replace(joined, keyed=pairs + tuple(keyed))
        return joined if has_route(joined) else opaque(self.label(node), joined)

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
        names = parameters_of(function)
        values = [self.value(one, depth) for one in link.arguments]
        self._bound.append(dict(zip(names, values, strict=False)))
        try:
            found = self.value(body, depth)
        finally:
            self._bound.pop()
        return found if has_route(found) or not found.holes else None

    def _result_of(self, function: SgNode) -> SgNode | None:
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
                    parts.append(opaque(named[name].spelled) if name in named else opaque(name))
            elif taken < len(values):
                parts.append(values[taken])
                taken += 1
            else:
                parts.append(opaque(place[0]))
        parts.append(Value(template.text[at:], template.holes[hole:]))
        joined = join(parts)
        rest = join(values)
        return replace(
            joined,
            keyed=joined.keyed + template.keyed,
            literals=joined.literals | template.literals | rest.literals,
        )

    # Variables.

    def _named(self, text: str, node: SgNode, depth: int) -> Value:
        bare = text.strip().lstrip("$&*")
        if depth > _DEEPEST:
            return opaque(text)
        for bound in reversed(self._bound):
            if bare in bound:
                value = bound[bare]
                return value if value.text else opaque(text)
        found = self.assignments.before(self.assignments.key(text), span_of(node)[0])
        if not found and "." in text:
            found = self.assignments.before("." + text.rpartition(".")[2], span_of(node)[0])
        values = [self._assigned(one, depth) for one in found[:6]]
        known = either(values, text) if values else None
        path = self._path_of(bare, node, depth)
        if path is not None:
            known = path if known is None else join((known, path), SEP)
        if known is None:
            known = self._property(bare, depth)
        if known is None and _COLLECTION.search(bare):
            return Value(f"{HOLE}/invocations", (text,))
        if known is None:
            return opaque(text)
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
        if not FIELD.match(name) or depth > 12 or len(self._bound) > 3:
            return None
        function = self._functions.get(name.rpartition(".")[2])
        body = None if function is None else self._result_of(function)
        return None if body is None else self.value(body, depth)

    def _path_of(self, name: str, node: SgNode, depth: int) -> Value | None:
        """Return the path that a URL is given: ``url.pathname = "/invocations/" + id``."""
        for key in _PATH_OF:
            for target, value, _ in self.assignments.before(key, span_of(node)[0]):
                owner = sides_of(target)[0]
                if (
                    owner is not None
                    and owner.text() == name + key
                    and span_of(target) != span_of(node)
                ):
                    return self.value(value, depth)
        return None

    def _member(self, node: SgNode, depth: int) -> Value:
        text = self.label(node)
        if len(text) > _LONGEST_NAME:
            return opaque(text)
        found = self._named("".join(text.split()), node, depth)
        if found.text != HOLE:
            return found
        children = node.named_children()
        owner = self.value(children[0], depth) if children else Value()
        if has_route(owner):
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
            target = sides_of(node)[0]
            if target is not None:
                return join((self._named(target.text(), node, depth + 1), found))
        return found


def _naming_the_method(links: list[Link]) -> Link | None:
    """Return the call of a chain that names the method.

    That is DELETE wherever it is; another one where it is given something, as future.get() is not.
    """
    for link in links:
        if link.rule.method == "DELETE":
            return link
    others = [link for link in links if link.rule.method != "argument"]
    return next((link for link in others if link.arguments), next(iter(others), None))
