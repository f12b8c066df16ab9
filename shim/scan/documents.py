"""What a file holds: a program, command lines, requests as data, or several of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from shim.scan.commands import Command, find_commands
from shim.scan.finding import HANDLE, Confidence, Finding, Skipped
from shim.scan.judging import Call, Judgement, judge, mode_in, route, speaks_of_restate
from shim.scan.kinds import command_rules, language_of
from shim.scan.languages import Language, languages
from shim.scan.nodes import Lines
from shim.scan.openapi import find_operations
from shim.scan.pins import find_pins
from shim.scan.programs import Part, find_in_program
from shim.scan.rewriting import rewritten

_FENCE: Final = re.compile(
    r"^\s{0,12}(?:>\s?)?(?P<mark>`{3,8}|~{3,8})\s{0,3}(?P<name>[\w+#.-]{0,20})"
)
_HTTP_VERB: Final = re.compile(r"^\s{0,20}DELETE\s{1,9}\S{0,300}invocations/")
_URL_KEY: Final = re.compile(
    r"(?i)^(?P<indent>\s{0,80}(?:-\s{1,4})?)[\"']?[\w-]{0,20}(?:url|uri|path|endpoint|href|target|route|raw)[\"']?\s{0,4}[:=]\s{0,4}(?P<value>\S.{0,1000})$"
)
_METHOD_KEY: Final = re.compile(
    r"(?i)^\s{0,80}(?:-\s{1,4})?[\"']?[\w-]{0,20}(?:method|verb|type)[\"']?\s{0,4}[:=]\s{0,4}[\"'.]?(?P<value>get|head|post|put|patch|delete)\b"
)
_SCRIPT: Final = re.compile(r"<script[^<>]{0,200}>|^---$", re.MULTILINE)
_SAYS_DELETE: Final = re.compile(r"(?i)(?<![a-z])delete(?![a-z]*d\b)")
_TEXT_COMMENT: Final = re.compile(r"^\s{0,200}(?:#|//|--|\*|/\*|;;|%|\"\"\")")
_LITERAL: Final = re.compile(
    r"[\"'`](?P<value>[^\"'`\s]{0,400}invocations/[^\"'`\s]{0,400})[\"'`]?"
)
_URL: Final = re.compile(r"[^\s\"'`,(\[]{0,200}invocations/[^\s\"'`,)\]?#]{1,200}")
_PUT_TOGETHER: Final = re.compile(
    r"[\"'`]\s{0,3}(?:\.\.|\+{1,2}|<>|&|\.|~)\s{0,3}[\w.:()\[\]]{1,60}"
    r"(?:\s{0,3}(?:\.\.|\+{1,2}|<>|&|\.|~)\s{0,3}[\"'`])?"
)
_FILLED: Final = re.compile(r"#\{[^{}]{0,80}\}|\\\([^()]{0,80}\)")
_LONGEST_LINE: Final = 8_000
_LONGEST_OF_PROGRAM: Final = 20_000


@dataclass(frozen=True, slots=True)
class Contents:
    """What a file holds: what was found, and what could not be read of it."""

    findings: tuple[Finding, ...] = ()
    skipped: tuple[Skipped, ...] = ()


def find_in_file(path: str, name: str, text: str, data: bytes) -> Contents:
    """Return what a file of that name holds; ``data`` are its bytes."""
    calls = is_interesting(data)
    pinned = b"restate" in data
    if not calls and not pinned:
        return Contents()
    language = language_of(name, text)
    found: list[Finding] = []
    skipped: list[Skipped] = []
    if calls:
        restate = speaks_of_restate(text) or speaks_of_restate(path)
        contents = _contents(Part(path, text, language, restate))
        found += contents.findings
        skipped += contents.skipped
    if pinned and language not in languages():
        found += find_pins(path, text, language)
    return Contents(tuple(_each_once(found)), tuple(skipped))


def is_interesting(data: bytes) -> bool:
    """Tell whether bytes may hold the old call."""
    lower = data.lower()
    if b"invocation" not in lower:
        return False
    return b"delete" in lower or b"terminate" in lower or b"mode" in lower or b"del(" in lower


def _each_once(found: Iterable[Finding]) -> Iterator[Finding]:
    seen: dict[tuple[int, int], Finding] = {}
    for one in found:
        key = (one.line, one.column)
        before = seen.get(key)
        if before is None or one.confidence.rank < before.confidence.rank:
            seen[key] = one
    yield from sorted(seen.values(), key=lambda one: (one.line, one.column))


def _once_a_line(found: Iterable[Finding]) -> Iterator[Finding]:
    """Return the surest finding of each line, the first of those that are as sure."""
    best: dict[int, Finding] = {}
    for one in found:
        before = best.get(one.line)
        if before is None or one.confidence.rank < before.confidence.rank:
            best[one.line] = one
    return iter(best.values())


def _contents(part: Part) -> Contents:
    language = languages().get(part.language)
    if language is not None:
        return _program(part, language)
    match part.language:
        case "markdown":
            return _markdown(part)
        case "notebook":
            return _notebook(part)
        case "component":
            return _component(part)
        case "yaml" | "json":
            found = [*_requests(part), *_commands(part), *_openapi(part)]
            return Contents(tuple(_once_a_line(found)))
        case "http":
            return Contents(tuple(_once_a_line(_raw_requests(part))))
        case "shell" | "powershell" | "dockerfile" | "makefile":
            return Contents(tuple(_commands(part)))
        case "groovy":
            return Contents(tuple(_once_a_line([*_commands(part), *_text(part)])))
        case _:
            found = [*_commands(part, loose=True), *_requests(part), *_text(part)]
            return Contents(tuple(_once_a_line(found)))


def _program(part: Part, language: Language) -> Contents:
    longest = max(map(len, part.text.split("\n")))
    if longest > _LONGEST_OF_PROGRAM:
        why = f"a line of {longest:,} characters: nobody wrote that by hand"
        return Contents(skipped=(Skipped(part.path, why),))
    found, broken = find_in_program(part, language)
    skipped: tuple[Skipped, ...] = ()
    if broken is not None:
        skipped = (
            Skipped(
                part.path, f"line {broken}: no {language.name} from here on; the rest was read"
            ),
        )
        known = {one.line for one in found}
        found += [one for one in _commands(part) if one.line not in known]
    return Contents(tuple(found), skipped)


def _commands(part: Part, *, loose: bool = False) -> Iterator[Finding]:
    yaml = part.language == "yaml"
    lines = Lines(part.text)
    for command in find_commands(part.text, yaml=yaml):
        judgement = judge(command.call, restate=part.restate)
        if judgement is None:
            continue
        told = not command.client and command.call.method is not None
        if told and (loose or part.language in ("yaml", "json", "markdown")):
            judgement = replace(judgement, confidence=Confidence.POSSIBLE)
        yield _of_command(part, command, judgement, lines)


def _of_command(part: Part, command: Command, judgement: Judgement, lines: Lines) -> Finding:
    line, column = lines.place(command.start)
    mode = judgement.mode or "MODE"
    edits = command.edits if judgement.confidence is Confidence.CERTAIN and judgement.mode else ()
    if command.rewrites and judgement.mode:
        replacement = rewritten(part.text, command.rewrites, command.start, command.end).strip()
    else:
        template = command_rules().replacement[_family(command.client, part.language)]
        replacement = template.format(url=_new_url(command.code), mode=mode)
    return Finding(
        part.path,
        line,
        column,
        part.language,
        judgement.mode,
        judgement.confidence,
        command.code[:600],
        replacement,
        f"{judgement.reason}; {HANDLE[judgement.mode]}",
        edits,
    )


def _family(client: str, language: str) -> str:
    if client in ("http", "https", "httpie"):
        return "http"
    if client in ("xh", "xhs"):
        return "xh"
    if client.startswith("i") or language == "powershell":
        return "powershell"
    if client == "wget":
        return "wget"
    return "curl" if client or language in ("shell", "makefile", "dockerfile") else "request"


def _new_url(code: str) -> str:
    """Return the URL of a command up to its id, or one to be filled in."""
    found = _URL.search(code)
    return found[0] if found else "$RESTATE_ADMIN_URL/invocations/$INVOCATION_ID"


def _raw_requests(part: Part) -> Iterator[Finding]:
    lines = Lines(part.text)
    at = 0
    for row in part.text.splitlines(keepends=True):
        if len(row) < _LONGEST_LINE and _HTTP_VERB.match(row):
            url = row.split(None, 1)[1].rsplit(" HTTP/", 1)[0].strip()
            judgement = judge(Call("DELETE", url), restate=part.restate)
            if judgement:
                yield _plain(part, lines, at + len(row) - len(row.lstrip()), row.strip(), judgement)
        at += len(row)
    yield from _commands(part)


def _plain(part: Part, lines: Lines, at: int, code: str, judgement: Judgement) -> Finding:
    line, column = lines.place(at)
    replacement = (
        command_rules()
        .replacement["request"]
        .format(url=_new_url(code), mode=judgement.mode or "MODE")
    )
    return Finding(
        part.path,
        line,
        column,
        part.language,
        judgement.mode,
        judgement.confidence,
        code[:600],
        replacement,
        f"{judgement.reason}; {HANDLE[judgement.mode]}",
    )


def _requests(part: Part) -> Iterator[Finding]:
    """Return requests that are data: a URL and a method beside each other."""
    lines = Lines(part.text)
    rows = part.text.split("\n")
    at = 0
    for number, row in enumerate(rows):
        found = _URL_KEY.match(row) if "invocations/" in row and len(row) < _LONGEST_LINE else None
        if found and route(found["value"]) is not None:
            method = _method_near(rows, number, len(found["indent"]))
            judgement = judge(Call(method, found["value"]), restate=part.restate)
            if judgement and (method or judgement.mode_given):
                yield _plain(part, lines, at + len(row) - len(row.lstrip()), row.strip(), judgement)
        at += len(row) + 1


def _method_near(rows: list[str], number: int, indent: int) -> str | None:
    for step in (-1, 1):
        for distance in range(1, 13):
            at = number + step * distance
            if not 0 <= at < len(rows) or len(rows[at]) > 400:
                break
            row = rows[at]
            own = len(row) - len(row.lstrip(" \t-"))
            if row.strip() and own < indent:
                break
            found = _METHOD_KEY.match(row)
            if found and own == indent:
                return found["value"].upper()
            if row.lstrip().startswith("- ") and step < 0:
                break
    return None


def _openapi(part: Part) -> Iterator[Finding]:
    """Return the old route where a description of an API holds it."""
    lines = Lines(part.text)
    for operation in find_operations(part.text):
        route_of = operation.path or "/invocations/{id}"
        if judge(Call("DELETE", route_of, words="restate"), restate=True) is None:
            continue
        level = Confidence.POSSIBLE
        if operation.is_named or part.restate:
            level = Confidence.LIKELY
        if operation.is_named and part.restate:
            level = Confidence.CERTAIN
        why = "the old route in a description of the API: take that of Restate 1.4 or later"
        judgement = Judgement(None, mode_given=False, confidence=level, reason=why)
        one = _plain(part, lines, operation.at, operation.code, judgement)
        yield replace(one, replacement=f"{route_of}/{{kill,cancel,purge}}: patch")


def _inner(part: Part, start: int, end: int, language: str) -> Contents:
    """Return what a piece of a file holds, at the lines where it stands."""
    text = part.text[start:end]
    if language == part.language or "invocation" not in text.lower():
        return Contents()
    found = _contents(Part(part.path, text, language, part.restate))
    first = Lines(part.text).place(start)[0] - 1
    return Contents(
        tuple(
            replace(
                one,
                line=one.line + first,
                language=part.language,
                edits=tuple(
                    replace(edit, start=edit.start + start, end=edit.end + start)
                    for edit in one.edits
                ),
            )
            for one in found.findings
        )
    )


def _markdown(part: Part) -> Contents:
    found: list[Finding] = []
    rows = part.text.splitlines(keepends=True)
    blank: list[str] = []
    at = number = 0
    while number < len(rows):
        fence = _FENCE.match(rows[number])
        if fence is None:
            blank.append(rows[number])
            at += len(rows[number])
            number += 1
            continue
        at += len(rows[number])
        start = at
        blank.append("\n")
        number += 1
        while number < len(rows) and not rows[number].lstrip("> \t").startswith(fence["mark"]):
            at += len(rows[number])
            blank.append(" " * (len(rows[number]) - 1) + "\n")
            number += 1
        found += _fenced(part, start, at, fence["name"].lower()).findings
    prose = replace(part, text="".join(blank))
    found += _prose(prose)
    return Contents(tuple(found))


def _fenced(part: Part, start: int, end: int, name: str) -> Contents:
    for language in languages().values():
        if name == language.name or name in language.aliases:
            return _inner(part, start, end, language.name)
    if name in ("http", "rest"):
        return _inner(part, start, end, "http")
    if name in ("yaml", "yml", "json", "dockerfile", "makefile", "powershell"):
        return _inner(part, start, end, "yaml" if name == "yml" else name)
    return _inner(part, start, end, "shell")


def _prose(part: Part) -> Iterator[Finding]:
    lines = Lines(part.text)
    for command in find_commands(part.text, comments=False):
        judgement = judge(command.call, restate=part.restate)
        if judgement is None:
            continue
        if not command.client:
            judgement = replace(judgement, confidence=Confidence.POSSIBLE)
        yield replace(_of_command(part, command, judgement, lines), edits=())


def _notebook(part: Part) -> Contents:
    try:
        book: Any = json.loads(part.text)
        cells = book["cells"]
        sources = [(cell.get("cell_type"), cell.get("source", "")) for cell in cells]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Contents(skipped=(Skipped(part.path, "no notebook: its JSON cannot be read"),))
    found: list[Finding] = []
    at = 0
    for kind, source in sources:
        pieces = source if isinstance(source, list) else str(source).splitlines(keepends=True)
        pieces = [str(piece) for piece in pieces]
        where = []
        for piece in pieces:
            index = _spelled_at(part.text, piece, at)
            at = index if index is not None else at
            where.append(part.text.count("\n", 0, at) + 1)
        code = "".join(pieces)
        if "invocation" not in code.lower() or not where:
            continue
        if kind == "code":
            shell = "".join(
                p.lstrip("!% ") if p.lstrip().startswith(("!", "%%")) else "\n" for p in pieces
            )
            python = "".join("\n" if p.lstrip().startswith(("!", "%")) else p for p in pieces)
            if pieces[0].startswith(("%%bash", "%%sh")):
                shell, python = "\n" + "".join(pieces[1:]), ""
            inner = [("shell", shell), ("python", python)]
        else:
            inner = [("markdown", code)]
        for language, text in inner:
            if "invocation" not in text.lower():
                continue
            contents = _contents(Part(part.path, text, language, part.restate))
            for one in contents.findings:
                line = where[min(one.line, len(where)) - 1]
                found.append(replace(one, line=line, language="notebook", edits=()))
    return Contents(tuple(found))


def _spelled_at(text: str, piece: str, at: int) -> int | None:
    for ascii_only in (False, True):
        found = text.find(json.dumps(piece, ensure_ascii=ascii_only)[1:-1], at)
        if found >= 0:
            return found
    return None


def _component(part: Part) -> Contents:
    found: list[Finding] = []
    for begin in _SCRIPT.finditer(part.text):
        closing = "---" if begin[0] == "---" else "</script"
        end = part.text.find(closing, begin.end())
        if end > 0:
            found += _inner(part, begin.end(), end, "typescript").findings
    # Without a grammar of the whole file, nothing says that it would still parse.
    return Contents(tuple(replace(one, edits=()) for one in found))


def _text(part: Part) -> Iterator[Finding]:
    """Return literals of the route in a language without rules, where DELETE is near them."""
    lines = Lines(part.text)
    rows = part.text.split("\n")
    at = 0
    for number, row in enumerate(rows):
        if "invocations/" in row and len(row) < _LONGEST_LINE and not _TEXT_COMMENT.match(row):
            for found in _LITERAL.finditer(_PUT_TOGETHER.sub("{}", row)):
                near = " ".join(rows[max(0, number - 2) : number + 4])
                method = "DELETE" if _SAYS_DELETE.search(near) else None
                url = _FILLED.sub("{}", found["value"])
                judgement = judge(Call(method, url, words=row[:400]), restate=part.restate)
                if judgement and (method or judgement.mode_given):
                    if not judgement.mode_given:
                        judgement = replace(judgement, mode=mode_in(near) or "cancel")
                    yield _plain(
                        part, lines, at + len(row) - len(row.lstrip()), row.strip(), judgement
                    )
        at += len(row) + 1
