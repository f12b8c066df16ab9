"""Findings in programs: what the calls of a tree come to."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from ast_grep_py import Range, SgNode

from shim.scan.commands import commands_in
from shim.scan.finding import Confidence, Edit, Finding
from shim.scan.judging import (
    HOLE,
    SEP,
    Call,
    Judgement,
    is_raw_request,
    judge,
    mode_among,
    mode_in,
    route,
)
from shim.scan.languages import Language, names
from shim.scan.nodes import Starts
from shim.scan.parts import Part
from shim.scan.rewriting import puts
from shim.scan.rewriting_calls import call_edits
from shim.scan.showing import Place, shown, told
from shim.scan.surroundings import is_told, method_beside
from shim.scan.trees import Site, Tree
from shim.scan.unheeded_calls import is_heeded, is_known_client
from shim.scan.values import Value

_MOST_CODE: Final = 600
_GENERATED: Final = re.compile(r"(?i)delete_?invocation")
_KEYS: Final = frozenset({"property_signature", "pair"})
_NEAR: Final = 1_000
_MOST_LEFT: Final = 50
_OWNER: Final = re.compile(r"[\s&*]{0,80}(\$?\w{1,60})(?:\.|->)")
_OTHERS: Final = re.compile(r"(?i)bedrock|sagemaker|openwhisk|boto")
_WORD: Final = re.compile(r"\$?\w{1,60}")
# A path in them is told, not called.
_TELLS: Final = re.compile(
    r"(?i)(?:^|[.:>_\s])(?:log\w{0,8}|debug|info|warn(?:ing)?|error|exception|fatal|trace|print\w{0,3}|"
    r"console\.\w+|echo|puts|println|eprintln|panic|raise|assert\w*|expect|describe|it|test|\w*Errorf?|\w*Exception|errors\.New|Wrapf?|"
    r"add_argument|option|skip|fail|route)!?$"
)
_MODE_TYPES: Final = re.compile(r"DeletionMode|TerminationMode")
_SENDS: Final = re.compile(r"(?i)request|send|write|fetch|call$|api$")
_GIVEN: Final = re.compile(
    r"\b(?:DELETE|delete)\(\)|[\"'`:]DELETE\b|[Mm]ethod[.:]{1,2}D(?:elete|ELETE)\b|MethodDelete"
)
_SHELLS: Final = re.compile(r"(?:^|[\s;&|(\"'/])(?:curl|wget|https?|xhs?|[Ii]nvoke-\w{1,20})\s")


def find_in_program(part: Part, language: Language) -> tuple[list[Finding], int | None]:
    """Return what a program makes, and the first line that is no program, or ``None``."""
    reader = _Reader(part, language)
    found = list(reader.findings())
    return [reader.settled(one) for one in found], reader.tree.broken_line()


class _Reader:
    def __init__(self, part: Part, language: Language) -> None:
        self.part = part
        self.language = language
        self.tree = Tree(part.text, language)
        self.is_of_pages = names().is_of_pages(part.text)
        self.read: set[int] = set()
        self.heeded: set[tuple[int, int]] = set()
        self.functions: dict[Finding, tuple[int, int]] = {}

    def findings(self) -> Iterator[Finding]:
        found: list[Finding] = []
        covered: list[tuple[int, int]] = []
        last: tuple[Site, Value] | None = None
        sites = [(site, self._url(site)) for site in self.tree.sites()]
        for site, url in sites:
            if site.method is not None and not site.rule.generated:
                for value in site.values:
                    self.read |= value.literals
            if url is not None and site.method is not None:
                covered.append((site.start, site.end))
            elif site.link is not None and _TELLS.search(site.link.callee):
                for value in site.values:
                    self.read |= value.literals
            finding = self._finding(site, url)
            if finding is not None:
                if url is not None and last is not None and self._is_within(site, url, last):
                    # What the outer call was given is a request itself.
                    found.pop()
                found.append(finding)
                last = (site, url) if url is not None else None
                covered.append((site.start, site.end))
                for value in site.values:
                    self.read |= value.literals
        found += self._apart([site for site, url in sites if url is None])
        found += self._definitions(sorted(covered))
        found += self._left()
        yield from found

    def settled(self, one: Finding) -> Finding:
        """Return a finding without edits where the answer of another in its function is heeded.

        For it may be made by that answer.
        """
        return replace(one, edits=()) if self.functions.get(one) in self.heeded else one

    def _is_within(self, site: Site, url: Value, last: tuple[Site, Value]) -> bool:
        """Tell whether a request is part of the one found before it, with the same URL."""
        outer, other = last
        return (
            outer.start <= site.start and site.end <= outer.end and url.literals <= other.literals
        )

    def _apart(self, sites: list[Site]) -> Iterator[Finding]:
        """Return requests whose URL and DELETE are given apart, within one function."""
        left = Starts(one for one in self.tree.literals if one.range().start.index not in self.read)
        for site in sites:
            if site.method != "DELETE":
                continue
            start, end = self.tree.function_around(site.node)
            given = _GIVEN.search(self._code(site)) is not None
            urls = [
                one
                for one in left.within(start, end, _MOST_LEFT)
                if one.range().start.index not in self.read and (given or self._is_about(one, site))
            ]
            tops = {self.tree.top(one).range().start.index: self.tree.top(one) for one in urls}
            if len(tops) != 1:
                continue
            at, top = tops.popitem()
            value = self.tree.value_of(top)
            if route(value.text) is None:
                value = self.tree.value_of_call_around(top)
            if route(value.text) is None:
                continue
            judgement = judge(self._call(site, value), restate=self.part.restate)
            if judgement is None:
                continue
            self.read |= value.literals
            if not judgement.mode_given:
                judgement = self._stated(site, judgement, self._call(site, value))
            first, last = min(at, site.start), max(top.range().end.index, site.end)
            if last - first < _MOST_CODE:
                template = site.rule.replacement or self.language.replacement
                yield shown(self.part, Place(max(at, site.at), first, last), judgement, template)

    def _is_about(self, literal: SgNode, site: Site) -> bool:
        """Tell whether a literal is given to what a request is given: ``url.set_path("/…")``."""
        line = self.part.text.rfind("\n", 0, literal.range().start.index) + 1
        owner = _OWNER.match(self.part.text[line : line + 200])
        return owner is not None and owner[1] in _WORD.findall(self._code(site)[:_MOST_CODE])

    def _code(self, site: Site) -> str:
        return self.part.text[site.start : site.end]

    def _url(self, site: Site) -> Value | None:
        urls = [
            value
            for value in site.values
            if "invocations" in value.text and route(value.text) is not None
        ]
        if urls:
            # Rather the item of a list than the list.
            return next((value for value in urls if SEP not in value.text), urls[0])
        if any("invocations" in value.words for value in site.values):
            whole = self.tree.value_of(site.node)
            if route(whole.text) is not None:
                return whole
            joined = [value.text for value in site.values]
            text = SEP.join(joined)
            if site.link is not None and route(text) is not None and site.method == "DELETE":
                return Value(text, tuple(h for v in site.values for h in v.holes), whole.keyed)
        return None

    def _finding(self, site: Site, url: Value | None) -> Finding | None:
        if site.is_route:
            return None
        if site.rule.generated and url is None:
            return self._generated(site)
        if site.link is not None and _TELLS.search(site.link.callee):
            return None
        if url is None or site.method is None:
            return self._command(site)
        call = self._call(site, url)
        judgement = judge(call, restate=self.part.restate)
        if judgement is None:
            return None
        if not judgement.mode_given:
            judgement = self._stated(site, judgement, call)
        edits = call_edits(self.part.text, site, judgement, self.language)
        made = self._made(site, judgement, edits)
        sure = judgement.confidence is Confidence.CERTAIN and puts(edits, judgement.mode)
        function = self.tree.function_around(site.node)
        if is_heeded(self.part.text, site, self.language, function):
            self.heeded.add(function)
        elif sure and is_known_client(self.part.text, site, self.language):
            self.functions[made] = function
            return made
        return replace(made, edits=())

    def _call(self, site: Site, url: Value) -> Call:
        keyed = tuple(one.spelled for value in site.values for one in value.under("mode"))
        keyed += tuple(one.spelled for one in self.tree.value_of(site.node).under("mode"))
        if "mode=" not in url.text and "mode" in self._declared(site):
            # An interface of a client: whoever calls it gives the mode.
            keyed = (*keyed, HOLE)
        words = " ".join(value.words for value in site.values)
        return Call(
            site.method,
            url.text,
            url.holes,
            keyed,
            words[:4000],
            tuple(value.spelled for value in site.values),
            open_query=self.tree.may_hold_a_mode(site),
        )

    def _declared(self, site: Site) -> str:
        """Return the method that an annotation is of."""
        if site.node.kind() not in self.language.kinds.annotations:
            return ""
        start, end = self.tree.function_around(site.node)
        return self.part.text[start : min(end, site.end + _MOST_CODE)]

    def _stated(self, site: Site, judgement: Judgement, call: Call) -> Judgement:
        """Return the judgement with the mode that statements around a call give it."""
        modes = self.tree.modes_stated(site, call.holes)
        if not modes:
            return judgement
        again = judge(replace(call, keyed=modes, open_query=False), restate=self.part.restate)
        return again or judgement

    def _command(self, site: Site) -> Finding | None:
        for value in site.values:
            if "invocations" not in value.text or value.literals <= self.read:
                continue
            sends = site.link is not None and _SENDS.search(site.link.callee)
            if is_raw_request(value.text) and (" HTTP/" in value.text or sends):
                call = Call("DELETE", value.text.split(None, 1)[1], value.holes, (), value.words)
                judgement = judge(call, restate=self.part.restate)
                if judgement:
                    return self._line(site, judgement)
            if _SHELLS.search(value.text):
                for command in commands_in(value.text, value.holes):
                    judgement = judge(command.call, restate=self.part.restate)
                    if judgement and command.call.method:
                        return self._line(site, judgement)
        return None

    def _line(self, site: Site, judgement: Judgement) -> Finding:
        """Return the finding of a call that is given a command line or a raw request."""
        template = site.rule.replacement or self.language.replacement
        return told(self.part, Place(site.at, site.start, site.end), judgement, template)

    def _generated(self, site: Site) -> Finding | None:
        link = site.link
        if link is None or self.tree.defines(link.name):
            return None
        words = " ".join(value.words for value in site.values) + " ".join(
            one.text() for one in link.arguments
        )
        if _OTHERS.search(words):
            return None
        keyed = [one.spelled for value in site.values for one in value.under("mode")]
        mode = mode_among(keyed or [value.spelled for value in site.values])
        if len(link.arguments) == 1 and link.name.lower().startswith("delete") and not keyed:
            mode = mode or (None if self.tree.may_hold_a_mode(site) else "cancel")
        if self.part.restate or _MODE_TYPES.search(self.part.text):
            level, why = Confidence.CERTAIN, "a generated client's call of the old route"
        elif mode_in(words):
            level, why = (
                Confidence.LIKELY,
                "a generated client's call of the old route, with a mode",
            )
        else:
            level, why = (
                Confidence.POSSIBLE,
                "the name of a generated client's call of the old route",
            )
        return self._made(site, Judgement(mode, mode_given=True, confidence=level, reason=why))

    def _definitions(self, covered: list[tuple[int, int]]) -> Iterator[Finding]:
        literals = Starts(self.tree.literals)
        for name, node in self.tree.functions().items():
            rule = next(
                (one for one in self.language.rule if one.generated and one.matches(name)), None
            )
            if rule is None:
                continue
            where = node.range()
            start, end = where.start.index, where.end.index
            inner = bisect_left(covered, (start, start))
            if inner < len(covered) and covered[inner][1] <= end:
                continue
            if self.part.text.find("/invocations/", start, end) < 0:
                continue
            self.read.update(one.range().start.index for one in literals.within(start, end))
            level = Confidence.LIKELY if self.part.restate else Confidence.POSSIBLE
            why = (
                f"a generated client that holds {name}: generate it anew from Restate 1.4 or later"
            )
            judgement = Judgement(None, mode_given=False, confidence=level, reason=why)
            yield shown(
                self.part, Place(start, start, min(end, start + 200)), judgement, rule.replacement
            )

    def _left(self) -> list[Finding]:
        """Return URLs of the old call that no call in sight is given."""
        left: list[tuple[Finding, bool]] = []
        seen: set[int] = set()
        for literal in self.tree.literals:
            at = literal.range().start.index
            if at in self.read:
                continue
            top = self.tree.top(literal)
            where = top.range()
            above = top.parent()
            if where.start.index in seen or above is None or is_told(top, self.language):
                continue
            seen.add(where.start.index)
            value = self.tree.value_of(top)
            if _SHELLS.search(value.text):
                left += [(one, True) for one in self._commands_of(value, where, literal)]
                continue
            if is_raw_request(value.text) and " HTTP/" in value.text:
                method: str | None = "DELETE"
                url = value.text.split(None, 1)[1]
            else:
                method, url = method_beside(top), value.text
            judgement = judge(
                Call(method, url, value.holes, (), value.words), restate=self.part.restate
            )
            if judgement is None:
                continue
            start, end = where.start.index, where.end.index
            if method is None and not judgement.mode_given:
                judgement = replace(judgement, mode="cancel")
                generated = _GENERATED.search(self.part.text, end, end + _NEAR)
                if above.kind() in _KEYS and generated is not None:
                    why = "a generated client that holds the route: generate it anew"
                    level = Confidence.LIKELY
                    judgement = Judgement(None, mode_given=False, confidence=level, reason=why)
            place = Place(start, start, end)
            finding = shown(self.part, place, judgement, self.language.replacement)
            if method is None and self.is_of_pages and value.text.startswith("/"):
                finding = replace(finding, confidence=Confidence.POSSIBLE)
            left.append((finding, judgement.mode_given))
        sure = any(given for _, given in left)
        return [
            replace(
                one,
                confidence=Confidence.LIKELY,
                reason=one.reason.replace("no method in sight", "beside others of the old call"),
            )
            if sure and not given and one.confidence is Confidence.POSSIBLE and self.part.restate
            else one
            for one, given in left
        ]

    def _commands_of(self, value: Value, where: Range, literal: SgNode) -> Iterator[Finding]:
        """Return the old calls of a command line that is written for somebody else to run."""
        for command in commands_in(value.text, value.holes):
            judgement = judge(command.call, restate=self.part.restate)
            if judgement is not None and command.call.method is not None:
                place = Place(literal.range().start.index, where.start.index, where.end.index)
                yield told(self.part, place, judgement, self.language.replacement)

    def _made(self, site: Site, judgement: Judgement, edits: tuple[Edit, ...] = ()) -> Finding:
        template = site.rule.replacement or self.language.replacement
        return shown(self.part, Place(site.at, site.start, site.end), judgement, template, edits)
