"""What expressions make, as far as that is known.

An expression is followed to the text that it makes: through variables within their function,
constants of the file, what functions of the file return, and what puts texts together (``+``,
``format``, templates, ``urljoin``).  What is not known becomes ``HOLE``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Final

from ast_grep_py import SgNode

from shim.scan.assignments import FIELD
from shim.scan.judging import HOLE, SEP
from shim.scan.nodes import find_all, parameters_of, sides_of, span_of, unquoted
from shim.scan.sources import Link, Source
from shim.scan.values import Value, either, has_route, join, opaque

_DEEPEST: Final = 40
_LONGEST: Final = 20_000
_STEPS: Final = 2_000
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
_MODE_ITEM: Final = re.compile(r"\bmode[\"']?\s?\]\s?$")
MAPS: Final = frozenset({"dict", "assign", "freeze", "of", "mapOf", "hashMapOf"})
"""What makes a table of its arguments, and no request."""
_PATH_OF: Final = (".pathname", ".path", ".Path", ".RawPath")
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


class Expressions:
    """The values of the expressions of one file."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._kinds = source.kinds
        self._values: dict[tuple[int, int, str], Value] = {}
        self._busy: set[tuple[int, int, str]] = set()
        self._bound: list[dict[str, Value]] = []
        self._results: dict[tuple[int, int], SgNode | None] = {}
        self._steps = 0
        self._most_steps = _STEPS + len(source.text)

    def value_of(self, node: SgNode, depth: int = 0) -> Value:
        """Return the text that an expression makes."""
        start, end = span_of(node)
        key = (start, end, node.kind())
        if not self._bound and key in self._values:
            return self._values[key]
        self._steps += 1
        if depth > _DEEPEST or end - start > _LONGEST or self._steps > self._most_steps:
            return opaque("")
        if key in self._busy:
            return opaque(self._source.label(node))
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
            return opaque(self._source.label(node))
        if len(children) == 2 and kind in self._kinds.pairs:
            return self._pair(children[0], children[1], node, depth)
        if len(children) == 1 and "shorthand" not in children[0].kind():
            return self.value_of(children[0], depth)
        if kind in self._kinds.joins:
            return self._joined(node, children, depth)
        return self._composite(node, children, depth)

    @cached_property
    def _ways(self) -> tuple[tuple[frozenset[str], Callable[[SgNode, int], Value]], ...]:
        return (
            (self._kinds.strings, self._string),
            (self._kinds.calls, self._call),
            (self._kinds.functions, self._function),
            (self._kinds.names, self._name),
            (self._kinds.members, self._member),
            (self._kinds.choices, self._choice),
            (frozenset({"token_tree"}), self._tokens),
        )

    def _name(self, node: SgNode, depth: int) -> Value:
        return self._named(node.text(), node, depth)

    def _function(self, node: SgNode, depth: int) -> Value:
        start, end = span_of(node)
        if node.kind() not in self._kinds.blocks or end - start > _LONGEST_BLOCK:
            return opaque("")
        found = join((self.value_of(one, depth) for one in node.named_children()), SEP)
        return found if has_route(found) else opaque("", found)

    def _composite(self, node: SgNode, children: list[SgNode], depth: int) -> Value:
        values = [self.value_of(one, depth) for one in children[:80]]
        keyed: list[tuple[str, Value]] = []
        for left, _right, value in zip(children, children[1:], values[1:], strict=False):
            if left.kind() in self._kinds.strings and unquoted(left.text()) in _KEYS:
                keyed.append((_KEYS[unquoted(left.text())], value))
        for left, value in zip(children, values, strict=False):
            if "shorthand" in left.kind() and left.text() in _KEYS:
                keyed.append((_KEYS[left.text()], value))
        joined = join(values, SEP)
        joined = replace(joined, keyed=joined.keyed + tuple(keyed))
        return joined if has_route(joined) else opaque(self._source.label(node), joined)

    def _pair(self, left: SgNode, right: SgNode, node: SgNode, depth: int) -> Value:
        value = self.value_of(right, depth)
        key = _KEYS.get(unquoted(left.text()))
        if key is not None:
            value = replace(value, keyed=(*value.keyed, (key, value)))
        elif left.kind() not in self._kinds.names and left.kind() not in self._kinds.strings:
            value = replace(value, keyed=value.keyed + self.value_of(left, depth).keyed)
        if _MODE_ITEM.search(left.text()[-20:]):
            value = replace(value, keyed=(*value.keyed, ("mode", value)))
        if has_route(value) or key is not None:
            return value
        return opaque(self._source.label(node), value)

    def _choice(self, node: SgNode, depth: int) -> Value:
        return either(
            [self.value_of(one, depth) for one in node.named_children()], self._source.label(node)
        )

    def _joined(self, node: SgNode, children: list[SgNode], depth: int) -> Value:
        operator = "".join(one.text() for one in node.children() if not one.is_named())
        if operator in ("+", ".", "", "..", "&", "<<"):
            return join(self.value_of(one, depth) for one in children)
        if operator == "%" and len(children) == 2:
            return self._filled(self.value_of(children[0], depth), self._list(children[1]), depth)
        if operator == "/":
            found = join((self.value_of(one, depth) for one in children), SEP)
            if has_route(found):
                return found
        return either([self.value_of(one, depth) for one in children], self._source.label(node))

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
            if kind in self._kinds.holes or kind in self._kinds.names:
                inner = [one for one in child.named_children() if "brace" not in one.kind()]
                if kind in self._kinds.names or not inner:
                    parts.append(self._named(child.text(), child, depth))
                else:
                    parts.append(self.value_of(inner[0], depth))
            elif kind in self._kinds.strings or kind in self._kinds.members:
                parts.append(self.value_of(child, depth))
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
                values.append(self.value_of(group[0], depth))
            elif group:
                text = self._source.text[span_of(group[0])[0] : span_of(group[-1])[1]]
                values.append(self._named(text, group[-1], depth))
        if not values:
            return Value()
        return self._fill(values[0], values[1:], node, depth)

    def _call(self, node: SgNode, depth: int) -> Value:
        links, root = self._source.chain(node)
        link = links[-1]
        if link.arguments and link.arguments[0].kind() == "token_tree":
            made = self._tokens(link.arguments[0], depth)
            return made if _MAKES_TEXT.search(link.name) else opaque(self._source.label(node), made)
        if _MAKES_TEXT.search(link.name):
            made_text = self._formatted(links, root, node, depth)
            if made_text is not None:
                return made_text
        if len(links) == 1 and (returned := self._returned(link, depth)) is not None:
            return returned
        values = []
        if root is not None and (
            root.kind() in self._kinds.names | self._kinds.strings | self._kinds.members
            or link.name == "join"
        ):
            values.append(self.value_of(root, depth))
        keyed: list[tuple[str, Value]] = []
        for one in links:
            values += [self.value_of(each, depth) for each in one.arguments]
            for left, right in zip(one.arguments, one.arguments[1:], strict=False):
                key = self._source.unwrapped(left)
                if key.kind() in self._kinds.strings and unquoted(key.text()) == "mode":
                    keyed.append(("mode", self.value_of(right, depth)))
        appended = {one.name for one in links[1:]} <= _APPENDS
        joined = join(values, "" if len(links) > 1 and appended else SEP)
        # A request that is made is its own: its method is not that of what is given it.
        pairs = tuple(one for one in joined.keyed if one[0] != "method" or link.name in MAPS)
        joined = replace(joined, keyed=pairs + tuple(keyed))
        return joined if has_route(joined) else opaque(self._source.label(node), joined)

    def _formatted(
        self, links: list[Link], root: SgNode | None, node: SgNode, depth: int
    ) -> Value | None:
        """Return what a call fills into a template: what it is called on, or an argument."""
        values = [self.value_of(one, depth) for one in links[-1].arguments]
        if len(links) == 1 and root is not None:
            values.insert(0, self.value_of(root, depth))
        for number, value in enumerate(values):
            if _PLACE.search(value.text):
                return self._fill(value, values[number + 1 :], node, depth)
        return None

    def _returned(self, link: Link, depth: int) -> Value | None:
        """Return what a function of the file returns, called with these arguments."""
        function = self._source.functions.get(link.name)
        if function is None or depth > 12 or len(self._bound) > 3:
            return None
        body = self._result_of(function)
        if body is None:
            return None
        names = parameters_of(function)
        values = [self.value_of(one, depth) for one in link.arguments]
        self._bound.append(dict(zip(names, values, strict=False)))
        try:
            found = self.value_of(body, depth)
        finally:
            self._bound.pop()
        return found if has_route(found) or not found.holes else None

    def _result_of(self, function: SgNode) -> SgNode | None:
        span = span_of(function)
        if span not in self._results:
            self._results[span] = self._find_result(function)
        return self._results[span]

    def _find_result(self, function: SgNode) -> SgNode | None:
        for node in find_all(function, self._kinds.returns):
            if node.named_children():
                return node.named_children()[0]
        # An expression as the body: of arrows in JavaScript, of Kotlin, Rust and Ruby.
        body = function.field("body") or next(reversed(function.named_children()), None)
        for _ in range(6):
            if (
                body is None
                or body.kind() in self._kinds.strings
                or body.kind() in self._kinds.calls
            ):
                break
            children = body.named_children()
            if not children or not re.search(r"block|body|statement", body.kind()):
                break
            body = children[-1]
        if body is None or re.search(r"block|body|statement|declaration", body.kind()):
            return None
        return body

    def _filled(self, template: Value, arguments: list[SgNode], depth: int) -> Value:
        return self._fill(template, [self.value_of(one, depth) for one in arguments], None, depth)

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
        found = self._source.assignments.before(
            self._source.assignments.key(text), span_of(node)[0]
        )
        if not found and "." in text:
            found = self._source.assignments.before("." + text.rpartition(".")[2], span_of(node)[0])
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
        function = self._source.functions.get(name.rpartition(".")[2])
        body = None if function is None else self._result_of(function)
        return None if body is None else self.value_of(body, depth)

    def _path_of(self, name: str, node: SgNode, depth: int) -> Value | None:
        """Return the path that a URL is given: ``url.pathname = "/invocations/" + id``."""
        for key in _PATH_OF:
            for target, value, _ in self._source.assignments.before(key, span_of(node)[0]):
                owner = sides_of(target)[0]
                if (
                    owner is not None
                    and owner.text() == name + key
                    and span_of(target) != span_of(node)
                ):
                    return self.value_of(value, depth)
        return None

    def _member(self, node: SgNode, depth: int) -> Value:
        text = self._source.label(node)
        if len(text) > _LONGEST_NAME:
            return opaque(text)
        found = self._named("".join(text.split()), node, depth)
        if found.text != HOLE:
            return found
        children = node.named_children()
        owner = self.value_of(children[0], depth) if children else Value()
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
        found = self.value_of(value, depth)
        if operator in ("+=", ".=", "<<"):
            target = sides_of(node)[0]
            if target is not None:
                return join((self._named(target.text(), node, depth + 1), found))
        return found
