"""Calls of programs whose answer nobody heeds: the new call may take their place without a person.

The old route says 202 to whatever has an id, the new ones say 404 and 409 too.  So only calls of
clients that are known to raise nothing for those are rewritten, by the library's own name, and only
where the answer is not taken: a statement by itself, or in Go a response that is only closed.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from shim.scan.languages import Language
from shim.scan.nodes import span_of
from shim.scan.trees import Site

_CLIENTS: Final = {
    "python": re.compile(r"(?:requests|httpx)\.(?:delete|request)"),
    "javascript": re.compile(r"fetch"),
    "typescript": re.compile(r"fetch"),
    "tsx": re.compile(r"fetch"),
    "go": re.compile(r"http\.NewRequest(?:WithContext)?"),
}
# Whatever gives a client's name another meaning.
_REBOUND: Final = {
    "python": re.compile(
        r"\b(?:as|for)[ \t]{1,9}(?:requests|httpx)\b|(?<![\w.])(?:requests|httpx)\s{0,9}[=:](?!=)|"
        r"\bfrom\s[^\n]{1,200}\simport\s(?:\s{0,9}\*|[^\n]{0,200}\b(?:requests|httpx)\b)|"
        r"\b(?:def|lambda)\s[^\n]{0,200}\b(?:requests|httpx)\b(?!\.)|"
        r"\b(?:requests|httpx)\.\w{1,40}\s{0,9}=(?!=)"
    ),
    "javascript": re.compile(
        r"(?<![\w.])fetch\s{0,9}(?:=(?!=)|[,:)}])|\bfunction\s{1,9}fetch\b|"
        r"\b(?:globalThis|window|global|self)\.fetch\s{0,9}=(?!=)|\bimport\s[^\n]{0,200}\bfetch\b"
    ),
    "go": re.compile(
        r"(?<![\w.])http\s{0,9}:?=|\bhttp\.Default\w{1,20}\s{0,9}=|\bhttp\s+\"(?!net/http\")"
    ),
}
# What may change the call, or hide an end of it.
_OPEN: Final = re.compile(r"\bhooks\b|\.\.\.|\*\*|#|//")
_AWAITED: Final = frozenset({"await", "await_expression"})
_LONGEST_FUNCTION: Final = 20_000
_MADE: Final = re.compile(r"[ \t]{0,40}(?P<request>\w{1,40}),\s?\w{1,40}\s?:?=\s?")
_SENT: Final = re.compile(
    r"(?m)^[ \t]{0,40}(?:if )?(?P<response>\w{1,40}),\s?\w{1,40}\s?:?=\s?(?P<client>[\w.]{1,60})"
    r"\.Do\((?P<request>\w{1,40})\)(?:;|$)"
)
_PLAIN_CLIENT: Final = re.compile(r"(\w{1,40})\s?:?=\s?&?http\.Client\{(?:Timeout:[^{}]{0,100})?\}")
_SET_UP: Final = re.compile(r"(?<![\w.])(\w{1,40})\.(?:Header\.(?:Set|Add)|SetBasicAuth)\(")
_CLOSED: Final = re.compile(r"(?<![\w.])(\w{1,40})\.Body\.Close\(\)")
_NAME: Final = re.compile(r"(?<![\w.])[A-Za-z_]\w{0,60}")


def is_known_client(text: str, site: Site, language: Language) -> bool:
    """Tell whether a call is one of a client that is known, given nothing that may change it."""
    link = site.link
    client = _CLIENTS.get(language.name)
    if link is None or client is None or not client.fullmatch(link.callee):
        return False
    if _OPEN.search(text[site.start : site.end].replace("://", "")):
        return False
    return not _is_rebound(text, language.name)


@lru_cache(maxsize=4)
def _is_rebound(text: str, language: str) -> bool:
    if language == "go" and '"net/http"' not in text:
        return True
    return _REBOUND.get(language, _REBOUND["javascript"]).search(text) is not None


def is_heeded(text: str, site: Site, language: Language, function: tuple[int, int]) -> bool:
    """Tell whether anything may go by what a call answers; ``function`` is what it stands in."""
    link = site.link
    if link is None or span_of(link.node) != span_of(site.node):
        # What is called on the answer.
        return True
    if language.name == "go":
        return not _is_only_closed(text, site, function)
    above = site.node.parent()
    if above is not None and above.kind() in _AWAITED:
        above = above.parent()
    return above is None or above.kind() != "expression_statement"


def _is_only_closed(text: str, site: Site, around: tuple[int, int]) -> bool:
    """Tell whether a function of Go sends a request and only closes what comes back."""
    start, end = around
    made = _MADE.match(text[text.rfind("\n", 0, site.start) + 1 : site.start])
    if made is None or end - start > _LONGEST_FUNCTION:
        return False
    function, request = text[start:end], made["request"]
    clients = {"http.DefaultClient", *_PLAIN_CLIENT.findall(function)}
    sent = [one for one in _SENT.finditer(function) if one["request"] == request]
    if len(sent) != 1 or sent[0]["client"] not in clients:
        return False
    response = sent[0]["response"]
    names = _NAME.findall(function)
    is_only_sent = names.count(request) == _SET_UP.findall(function).count(request) + 2
    closed = _CLOSED.findall(function).count(response)
    return is_only_sent and (response == "_" or names.count(response) == closed + 1)
