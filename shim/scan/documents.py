"""What a file holds: a program, command lines, requests as data, or several of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from shim.scan.commands import Command, find_commands
from shim.scan.embedded import Inner, cells, fences, scripts
from shim.scan.finding import HANDLE, Confidence, Finding, Skipped
from shim.scan.judging import Call, Judgement, judge, speaks_of_restate
from shim.scan.kinds import command_rules, language_of
from shim.scan.languages import Language, languages
from shim.scan.loose import literals
from shim.scan.openapi import find_operations
from shim.scan.parts import Part
from shim.scan.pins import find_pins
from shim.scan.programs import find_in_program
from shim.scan.requests import Request, raw_requests, requests_as_data
from shim.scan.rewriting import rewritten

_URL: Final = re.compile(r"[^\s\"'`,(\[]{0,200}invocations/[^\s\"'`,)\]?#]{1,200}")
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
            found = [*_plain(part, requests_as_data(part)), *_commands(part), *_openapi(part)]
            return Contents(tuple(_once_a_line(found)))
        case "http":
            found = [*_plain(part, raw_requests(part)), *_commands(part)]
            return Contents(tuple(_once_a_line(found)))
        case "shell" | "powershell" | "dockerfile" | "makefile":
            return Contents(tuple(_commands(part)))
        case "groovy":
            found = [*_commands(part), *_plain(part, literals(part))]
            return Contents(tuple(_once_a_line(found)))
        case _:
            found = [
                *_commands(part, loose=True),
                *_plain(part, requests_as_data(part)),
                *_plain(part, literals(part)),
            ]
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
    for command in find_commands(part.text, part.language):
        judgement = judge(command.call, restate=part.restate)
        if judgement is None:
            continue
        told = not command.client and command.call.method is not None
        if told and (loose or part.language in ("yaml", "json", "markdown")):
            judgement = replace(judgement, confidence=Confidence.POSSIBLE)
        yield _of_command(part, command, judgement)


def _of_command(part: Part, command: Command, judgement: Judgement) -> Finding:
    line, column = part.lines.place(command.at)
    mode = judgement.mode or "MODE"
    told = command.otherwise if judgement.mode is None else None
    unless = f", {told} unless told otherwise" if told else ""
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
        f"{judgement.reason}{unless}; {HANDLE[judgement.mode]}",
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


def _plain(part: Part, requests: Iterable[Request]) -> Iterator[Finding]:
    for at, code, judgement in requests:
        line, column = part.lines.place(at)
        replacement = (
            command_rules()
            .replacement["request"]
            .format(url=_new_url(code), mode=judgement.mode or "MODE")
        )
        yield Finding(
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


def _openapi(part: Part) -> Iterator[Finding]:
    """Return the old route where a description of an API holds it."""
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
        (one,) = _plain(part, [Request(operation.at, operation.code, judgement)])
        yield replace(one, replacement=f"{route_of}/{{kill,cancel,purge}}: patch")


def _inner(part: Part, inner: Inner) -> Contents:
    """Return what a piece of a file holds, at the lines where it stands."""
    language, start, end = inner
    text = part.text[start:end]
    if language == part.language or "invocation" not in text.lower():
        return Contents()
    found = _contents(Part(part.path, text, language, part.restate))
    first = part.lines.place(start)[0] - 1
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
    blocks, prose = fences(part)
    found = [one for block in blocks for one in _inner(part, block).findings]
    return Contents((*found, *_prose(replace(part, text=prose))))


def _prose(part: Part) -> Iterator[Finding]:
    for command in find_commands(part.text, comments=False):
        judgement = judge(command.call, restate=part.restate)
        if judgement is None:
            continue
        if not command.client:
            judgement = replace(judgement, confidence=Confidence.POSSIBLE)
        yield replace(_of_command(part, command, judgement), edits=())


def _notebook(part: Part) -> Contents:
    found: list[Finding] = []
    held = cells(part)
    if held is None:
        return Contents(skipped=(Skipped(part.path, "no notebook: its JSON cannot be read"),))
    for language, text, where in held:
        if "invocation" not in text.lower():
            continue
        contents = _contents(Part(part.path, text, language, part.restate))
        for one in contents.findings:
            line = where[min(one.line, len(where)) - 1]
            found.append(replace(one, line=line, language="notebook", edits=()))
    return Contents(tuple(found))


def _component(part: Part) -> Contents:
    found = [one for script in scripts(part) for one in _inner(part, script).findings]
    # Without a grammar of the whole file, nothing says that it would still parse.
    return Contents(tuple(replace(one, edits=()) for one in found))
