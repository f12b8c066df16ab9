"""Curl lines whose answer nobody heeds: the new call may take their place without a person.

The old route says 202 to whatever has an id, the new ones say 404 and 409 too, with a body.  So a
line is left alone where its status or its output goes anywhere: to a condition, ``&&``, ``||``, a
pipe, ``$(…)``, a function's caller, a file, ``-f``, ``-w``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from ast_grep_py import SgNode, SgRoot

from shim.scan.nodes import find_all, span_of
from shim.scan.urls import COLLECTION

_SCALARS: Final = ("plain_scalar", "double_quote_scalar", "single_quote_scalar", "block_scalar")
_TEMPLATE: Final = re.compile(r"\$?\{\{[^{}\n]{0,200}\}\}")
_MAKE_VARIABLE: Final = re.compile(r"\$\([^()\n]{0,200}\)|\$\$")
_FOR_PEOPLE: Final = re.compile(
    r"(?i)descr|summary|title|comment|note|help|usage|message|doc|example|text"
)
# What a step prints or says is kept, for others to look at.
_KEPT: Final = re.compile(r"\bregister:|_when:|\boutputs\.result\b|\buntil:")
_RECIPE: Final = re.compile(r"[ \t]{1,40}[@+-]{0,3}")
_RUN: Final = re.compile(r"[ \t]{0,40}RUN[ \t]{1,40}")

_STATEMENTS: Final = frozenset(
    {
        *("program", "do_group", "for_statement", "c_style_for_statement", "compound_statement"),
        *("case_item", "case_statement", "else_clause"),
    }
)
_REDIRECTED: Final = re.compile(r"(?:[12&]?>{1,2}\s?/dev/null|[12]?>&[12]|<.{0,2000})", re.DOTALL)
_FLAGS: Final = re.compile(
    r"-[sSkLvigN]{1,8}|--(?:silent|show-error|insecure|location|verbose|globoff|no-buffer|compressed|no-progress-meter|http1\.1|http2|http2-prior-knowledge)"
)
_VALUED: Final = re.compile(
    r"(?:-[sSkLvigN]{0,8}(?P<letter>[XHumAEbo])|--(?P<name>request|header|user|max-time|user-agent|cert|cookie|output|"
    r"connect-timeout|retry|retry-delay|cacert|capath|key|oauth2-bearer|unix-socket|proxy|noproxy|url))=?(?P<value>.{0,2000})",
    re.DOTALL,
)


@lru_cache(maxsize=4)
def unheeded_curls(text: str, language: str) -> dict[int, int]:
    """Return where such lines begin in a file, each with where its URL ends."""
    found = {}
    for offset, script in _scripts(text.replace("\r", " "), language):
        if COLLECTION not in script:
            continue
        root = SgRoot(script, "bash").root()
        if root.kind() == "ERROR" or root.find(kind="ERROR") is not None:
            continue
        ends = [(node, is_branch, _end_of_url(node)) for node, is_branch in _unheeded(root)]
        old = [(node, is_branch, end) for node, is_branch, end in ends if end is not None]
        all_unheeded = len(old) == script.count(COLLECTION)
        for node, is_branch, end in old:
            # What runs on a condition may run by the answer of another one.
            if all_unheeded or not is_branch:
                found[offset + span_of(node)[0]] = offset + end
    return found


def _scripts(text: str, language: str) -> Iterator[tuple[int, str]]:
    """Return the shell scripts of a file and where they begin, character by character.

    Placeholders are x's in them.
    """
    match language:
        case "shell":
            yield 0, text
        case "yaml" if not _KEPT.search(text):
            yield from _scalars(text)
        case "makefile" if ".ONESHELL" not in text and "#!" not in text:
            yield from _lines(text, _RECIPE)
        case "dockerfile":
            yield from _lines(text, _RUN)
        case _:
            return


def _scalars(text: str) -> Iterator[tuple[int, str]]:
    for node in find_all(SgRoot(text, "yaml").root(), _SCALARS):
        start, end = span_of(node)
        script = text[start:end]
        if COLLECTION not in script or _FOR_PEOPLE.search(_key_of(node)):
            continue
        if script[0] in "|>":
            head = script.find("\n") + 1
            is_folded = script[0] == ">"
            start, script = start + head, script[head:]
        else:
            is_folded = True
        if node.kind() == "double_quote_scalar":
            script = script.replace('\\"', ' "')
        if node.kind() in ("double_quote_scalar", "single_quote_scalar"):
            start, script = start + 1, script[1:-1]
        if is_folded:
            script = script.replace("\n", " ")
        yield start, _TEMPLATE.sub(_as_long, script)


def _key_of(node: SgNode) -> str:
    above = node.parent()
    for _ in range(8):
        if above is None:
            break
        if above.kind() in ("block_mapping_pair", "flow_pair"):
            return above.named_children()[0].text()[:80]
        above = above.parent()
    return ""


def _lines(text: str, begins: re.Pattern[str]) -> Iterator[tuple[int, str]]:
    """Return the commands of lines that begin so; a line goes on behind a backslash."""
    offset = 0
    rows = text.split("\n")
    at = 0
    while at < len(rows):
        first = at
        while rows[at].endswith("\\") and at + 1 < len(rows):
            at += 1
        at += 1
        line = "\n".join(rows[first:at])
        begin = begins.match(line)
        if begin is not None:
            script = _MAKE_VARIABLE.sub(_as_long, line) if begins is _RECIPE else line
            yield offset + begin.end(), script[begin.end() :]
        offset += len(line) + 1


def _as_long(found: re.Match[str]) -> str:
    return "x$" if found[0] == "$$" else "x" * len(found[0])


def _unheeded(root: SgNode) -> Iterator[tuple[SgNode, bool]]:
    """Return the commands whose status and output go nowhere, and which run on a condition."""
    left = [(root, False)]
    while left:
        node, is_branch = left.pop()
        children = node.children()
        match node.kind():
            case "command":
                yield node, is_branch
            case "if_statement" | "elif_clause":
                kinds = [one.kind() for one in children]
                then = kinds.index("then") if "then" in kinds else len(kinds)
                left += [(one, True) for one in children[then:]]
            case "while_statement":
                left += [(one, True) for one in children if one.kind() == "do_group"]
            case "redirected_statement":
                if all(_REDIRECTED.fullmatch(one.text()) for one in children[1:]):
                    left.append((children[0], is_branch))
            case "pipeline":
                # What the last one says goes nowhere.
                left.append((children[-1], is_branch))
            case kind if kind in _STATEMENTS:
                is_branch = is_branch or kind == "case_item"
                left += [(one, is_branch) for one in children]
            case _:
                continue


def _end_of_url(node: SgNode) -> int | None:
    """Return where the URL of a curl ends that is given only what is known to be harmless."""
    name, *arguments = node.named_children() or [node]
    if name.text() != "curl":
        return None
    urls: list[SgNode] = []
    methods: list[str] = []
    at = 0
    while at < len(arguments):
        argument = arguments[at]
        text = argument.text()
        at += 1
        if _FLAGS.fullmatch(text):
            continue
        option = _VALUED.fullmatch(text) if text.startswith("-") else None
        if option is None:
            urls.append(argument)
            continue
        value = option["value"]
        if not value and at < len(arguments):
            argument = arguments[at]
            value = argument.text()
            at += 1
        what = option["letter"] or option["name"]
        if what in ("X", "request"):
            methods.append(value.strip("'\""))
        elif what in ("o", "output") and value != "/dev/null":
            return None
        elif what == "url":
            urls.append(argument)
    if methods != ["DELETE"] or len(urls) != 1 or COLLECTION not in urls[0].text():
        return None
    return span_of(urls[0])[0] + len(urls[0].text().rstrip("\"' "))
