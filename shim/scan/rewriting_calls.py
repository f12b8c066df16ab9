"""The new call in place of the old in a program: the team's own client with all that it is given.

The method becomes PATCH where the call names it, and the mode goes from the query into the path.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from typing import Final

from ast_grep_py import SgNode

from shim.scan.finding import Edit
from shim.scan.judging import Judgement
from shim.scan.languages import Language
from shim.scan.nodes import span_of, unquoted
from shim.scan.rewriting import rewritten, still_parses
from shim.scan.rewriting_commands import verb_edit
from shim.scan.trees import Site
from shim.scan.urls import mode_added, path_edit

_LONGEST: Final = 4_000
_SAID_PATCH: Final = {"DELETE": "PATCH", "Delete": "Patch", "delete": "patch", "del": "patch"}
# The end of what is called: of somebody's object or of a library, so no function of their own.
_CALLED: Final = re.compile(
    r"(?:[.>:@]\s{0,40}|\bnew\s{1,9}(?:Http)?)(?P<verb>delete|Delete|DELETE|del)"
    r"(?:Async|_async|Exchange|\.new)?(?:<[\w<>\[\], ]{0,80}>)?$"
)
_SAID: Final = re.compile(
    r"(?<![\w-])(?:DELETE|(?<!:):delete|[\"'`][Dd]elete[\"'`])(?!\w)|Method[.:]{0,2}(?i:delete)"
)
_METHOD: Final = re.compile(
    r"[\"'`](?P<literal>DELETE|delete|Delete)[\"'`]|"
    r"(?:[\w.:]{0,80}(?:[.:]|Method)|:)(?P<verb>DELETE|Delete|delete)"
)
_DEEPEST: Final = 5
_URI_NEXT: Final = re.compile(r"\s{0,80}\.uri\(")
_METHOD_KEYS: Final = frozenset({"method", "type", "verb", "http_method", "httpmethod"})
_HOLDS_PAIRS: Final = re.compile(
    r"object|dict|hash|array|literal_value|initializer|lambda|statements|suffix|value_argument|block"
)
_LIBRARY: Final = re.compile(
    r"\b(?:HttpClient|axios|got|ky|k6|superagent|supertest|undici|playwright|Net::HTTP)\b|@angular\b"
)
# Of JavaScript: their patch() takes its options where their delete() does, that of others a body.
_SAME_PLACE: Final = frozenset(
    {"got", "ky", "k6", "superagent", "supertest", "undici", "playwright"}
)
_EMPTY: Final = re.compile(r"\(\s{0,40}\)")
_OWN: Final = re.compile(r"[.@]\s{0,40}DELETE\b")
_CURL: Final = re.compile(r"(?<![\w.])curl(?![\w.])")
_LONGEST_CALLEE: Final = 400
_NO_BODY_IN_JAVA: Final = re.compile(r"\bnew Http|\bUnirest\.|\bwhen\(\)")
_NO_BODY: Final = {
    "java": "patch(RequestBody.create(new byte[0]))",
    "kotlin": "patch(ByteArray(0).toRequestBody())",
}

_WORD: Final = re.compile(r"(?i)(?<![a-z])mode(?![a-z])")
_PAIR: Final = (
    r"\s{0,80}[\"'`:]?mode[\"'`]?\s?(?::|=>|=|,)\s?[\"'`](?P<mode>[A-Za-z]{4,6})[\"'`]"
    r"\s{0,80},?\s{0,80}"
)
_TABLE: Final = "|".join(
    opening + _PAIR.replace("<mode>", f"<{name}>") + closing
    for name, opening, closing in (
        ("dict", r"dict\(", r"\)"),
        ("braces", r"\{", r"\}"),
        ("pairs", r"\[\(", r"\)\]"),
        ("list", r"\[", r"\]"),
    )
)
_KEY: Final = r"[\"']?(?:params|searchParams|query|query_params|fields)[\"']?\s?(?::|=>|=)\s{0,9}"
# Parameters that are the mode alone: a step of a chain, all that an argument holds, an argument.
_PARAMETERS: Final = tuple(
    re.compile(pattern)
    for pattern in (
        rf"\s{{0,80}}\.\w{{0,20}}(?i:query|param)\w{{0,20}}\([\s&\[({{]{{0,40}}{_PAIR}[\s\])}}]{{0,40}}\)",
        rf"\s{{0,40}}\{{\s{{0,40}}parameter\({_PAIR}\)\s{{0,40}}\}}",
        rf",\s{{0,80}}[{{\[]\s{{0,80}}{_KEY}(?:{_TABLE})\s{{0,80}},?\s{{0,80}}[}}\]]",
        rf",\s{{0,80}}{_KEY}(?:{_TABLE})",
        rf"{_KEY}(?:{_TABLE})\s{{0,9}},\s{{0,80}}",
    )
)


def call_edits(text: str, site: Site, judgement: Judgement, language: Language) -> tuple[Edit, ...]:
    """Return the edits of the file that make a call the new one, or none where that is hard.

    That needs a call that names the method and within which the URL is written.
    """
    code = text[site.start : site.end]
    if len(code) > _LONGEST:
        return ()
    parameters = _parameters(code, judgement)
    if parameters is None:
        path = path_edit(code, judgement.mode, given=judgement.mode_given)
    else:
        path = mode_added(code, judgement.mode)
    if path is None:
        return ()
    if site.rule.method == "DELETE":
        method = _verb_called(text, code, site, language, parameters)
    else:
        method = _verb_given(code, site, language)
    edits = (path, *method, *([parameters] if parameters else []))
    if not method or not _is_sound(code, edits, language):
        return ()
    return tuple(Edit(site.start + one.start, site.start + one.end, one.text) for one in edits)


def _is_sound(code: str, edits: tuple[Edit, ...], language: Language) -> bool:
    ordered = sorted(edits, key=lambda one: one.start)
    apart = all(one.end <= two.start for one, two in pairwise(ordered))
    return apart and still_parses(code, rewritten(code, edits), language.grammar)


def _parameters(code: str, judgement: Judgement) -> Edit | None:
    """Return the edit that takes away parameters which are nothing but the mode."""
    if not judgement.mode_given or len(_WORD.findall(code)) != 1:
        return None
    for pattern in _PARAMETERS:
        found = pattern.search(code)
        if found is not None and judgement.mode in {one.lower() for one in found.groups() if one}:
            return Edit(found.start(), found.end(), "")
    return None


def _verb_given(code: str, site: Site, language: Language) -> tuple[Edit, ...]:
    """Return the edit of the method where it is an argument: ``request("DELETE", url)``."""
    found = list(_methods(site.arguments, language, 0))
    if not found and _CURL.search(code):
        verb = verb_edit(code)
        return () if verb is None else (verb,)
    if len(found) != 1 or len(_SAID.findall(code)) != 1:
        return ()
    ((at, method),) = found
    group = "verb" if method["verb"] else "literal"
    start = at - site.start + method.start(group)
    new = "PATCH" if group == "literal" else _SAID_PATCH[method[group]]
    return (Edit(start, start + len(method[group]), new),)


def _methods(
    nodes: Iterable[SgNode], language: Language, depth: int
) -> Iterator[tuple[int, re.Match[str]]]:
    """Return where DELETE is given as the method: by itself, or under such a key."""
    for node in nodes:
        children = node.named_children()
        value = node if depth == 0 else None
        if node.kind() in language.kinds.pairs and len(children) == 2:
            value = children[1] if unquoted(children[0].text()[:40]) in _METHOD_KEYS else None
            children = []
        found = None if value is None else _METHOD.fullmatch(value.text()[:100].strip())
        if value is not None and found is not None:
            yield span_of(value)[0], found
        elif depth < _DEEPEST and _HOLDS_PAIRS.search(node.kind()):
            yield from _methods(children, language, depth + 1)


def _verb_called(
    text: str, code: str, site: Site, language: Language, parameters: Edit | None
) -> tuple[Edit, ...]:
    """Return the edits of the method where it is what is called: ``client.delete(url)``."""
    link = site.link
    if link is None:
        return ()
    spans = [(one - site.start, two - site.start) for one, two in map(span_of, link.arguments)]
    opened = spans[0][0] if spans else code.find("(", max(0, link.name_at - site.start))
    first = max(0, opened - _LONGEST_CALLEE)
    callee = code[first : max(0, opened)].rstrip("( \t\r\n")
    annotates = site.node.kind() in language.kinds.annotations
    found = _CALLED.search(f"@{callee}" if annotates and callee[:1] != "@" else callee)
    if found is None or _SAID.search(_OWN.sub("", code)):
        # A function of their own, or another DELETE, of which is not known what it does.
        return ()
    at = first + len(callee) - (len(found.string) - found.start("verb"))
    verb = Edit(at, at + len(found["verb"]), _SAID_PATCH[found["verb"]])
    if annotates:
        return (verb,)
    left = [one for one in spans if parameters is None or one[1] != parameters.end]
    return _with_body(text, code, verb, left, language)


def _with_body(
    text: str, code: str, verb: Edit, spans: list[tuple[int, int]], language: Language
) -> tuple[Edit, ...]:
    """Return the edits of a call that is renamed: some clients' new method takes a body too."""
    behind = Edit(spans[0][1], spans[0][1], ", null") if spans else None
    libraries = _libraries(text)
    match language.name:
        case "java" | "kotlin" if _EMPTY.match(code, verb.end):
            return _built(code, verb, language)
        case "java":
            return (verb,) if _NO_BODY_IN_JAVA.search(code[: verb.end]) else ()
        case "csharp":
            at = code.find("(", verb.end) + 1
            return verb, behind or Edit(at, at, "null")
        case "ruby" if "RestClient" in code or ("Net::HTTP" in libraries and ".new" not in code):
            return (verb, replace(behind, text=", nil")) if behind else ()
        case "javascript" | "typescript" | "tsx" if behind is not None:
            is_angular = bool(libraries & {"HttpClient", "@angular"})
            if is_angular or (len(spans) > 1 and "axios" in libraries):
                return verb, behind
            knows = len(spans) == 1 or code[verb.start : verb.end] == "del"
            return (verb,) if knows or libraries & _SAME_PLACE else ()
        case _:
            return (verb,)


@lru_cache(maxsize=4)
def _libraries(text: str) -> frozenset[str]:
    return frozenset(_LIBRARY.findall(text))


def _built(code: str, verb: Edit, language: Language) -> tuple[Edit, ...]:
    """Return the edit of a builder's ``delete()``, where the new method needs a body."""
    end = code.find(")", verb.end) + 1
    if verb.text == "PATCH":
        no_body = 'method("PATCH", HttpRequest.BodyPublishers.noBody())'
        return (Edit(verb.start, end, no_body),)
    if _URI_NEXT.match(code, end):
        return (verb,)
    return (Edit(verb.start, end, _NO_BODY[language.name]),) if ".url(" in code else ()
