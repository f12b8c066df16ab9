"""What a file holds: a program, command lines, requests as data, or several of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from shim.scan.commands import Command, find_commands
from shim.scan.embedded import Inner, cells, fences, scripts
from shim.scan.finding import Confidence, Finding, Skipped
from shim.scan.json_requests import commands_in_lists, commands_in_strings, requests_in
from shim.scan.json_tree import read_json
from shim.scan.judging import Call, Judgement, judge, speaks_of_restate
from shim.scan.kinds import command_rules, language_of
from shim.scan.languages import Language, languages
from shim.scan.loose import literals
from shim.scan.nodes import Spans
from shim.scan.openapi import Operation, find_operations, operations_in
from shim.scan.parts import Part
from shim.scan.pins import find_pins
from shim.scan.programs import find_in_program
from shim.scan.requests import Request, requests_as_data
from shim.scan.rest_files import requests_sent
from shim.scan.rewriting import EXAMPLE, puts, rewritten
from shim.scan.rewriting_commands import command_edits
from shim.scan.showing import MOST_CODE, finding
from shim.scan.unheeded_commands import unheeded_curls
from shim.scan.urls import url_in

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
    part = Part(path, text, language, speaks_of_restate(text) or speaks_of_restate(path))
    if calls:
        contents = _contents(part)
        found += contents.findings
        skipped += contents.skipped
    if pinned:
        prose = fences(part)[1].split("\n") if language == "markdown" else ()
        found += find_pins(path, text, language, prose)
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


class Placed(NamedTuple):
    """A finding, and from where to where it stands."""

    start: int
    end: int
    finding: Finding


def _combined(*readers: Iterable[Placed]) -> Iterator[Finding]:
    """Return what several readers have found of one text: where they overlap, what is surest.

    Of two that are as sure, that is what the first reader has found.
    """
    kept: list[Placed] = []
    for reader in readers:
        by_rank = [_spans(kept, rank) for rank in range(len(Confidence))]
        new = [one for one in reader if not by_rank[one.finding.confidence.rank].overlap(*one[:2])]
        by_rank = [_spans(new, rank - 1) for rank in range(len(Confidence))]
        kept = [one for one in kept if not by_rank[one.finding.confidence.rank].overlap(*one[:2])]
        kept += new
    return (one.finding for one in kept)


def _spans(found: list[Placed], rank: int) -> Spans:
    return Spans(one[:2] for one in found if one.finding.confidence.rank <= rank)


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
        case "json":
            return _json(part)
        case "http":
            named = (one for one in find_commands(part.text) if one.client)
            found = _combined(_plain(part, requests_sent(part)), _shown(part, named))
        case "shell" | "powershell" | "dockerfile" | "makefile":
            found = _combined(_commands(part))
        case "groovy":
            found = _combined(_commands(part), _plain(part, literals(part)))
        case "yaml":
            found = _rows(part)
        case _:
            data = list(requests_as_data(part))
            commands = _commands(part, data, is_loose=True)
            found = _combined(commands, _plain(part, data), _plain(part, literals(part)))
    return Contents(tuple(found))


def _rows(part: Part) -> Iterator[Finding]:
    """Return what is found line by line in YAML, and in what is nearly JSON."""
    data = list(requests_as_data(part))
    operations = _openapi(part, find_operations(part.text))
    return _combined(_plain(part, data), _commands(part, data), operations)


def _json(part: Part) -> Contents:
    nodes = read_json(part.text)
    if nodes is None:
        why = "no JSON that can be read as a whole: read line by line"
        return Contents(tuple(_rows(part)), _skipped(part, why))
    data = list(requests_in(part, nodes))
    found = _combined(
        _plain(part, data),
        _shown(part, commands_in_lists(part, nodes)),
        _shown(part, _unclaimed(commands_in_strings(part, nodes), data), is_loose=True),
        _openapi(part, operations_in(part.text, nodes)),
    )
    return Contents(tuple(found))


def _program(part: Part, language: Language) -> Contents:
    longest = max(map(len, part.text.split("\n")))
    if longest > _LONGEST_OF_PROGRAM:
        return Contents(
            skipped=(
                Skipped(part.path, f"a line of {longest:,} characters: nobody wrote that by hand"),
            )
        )
    found, broken = find_in_program(part, language)
    skipped: tuple[Skipped, ...] = ()
    if broken is not None:
        why = f"line {broken}: no {language.name} from here on; the rest was read"
        skipped = _skipped(part, why)
        known = {one.line for one in found}
        found += [one.finding for one in _commands(part) if one.finding.line not in known]
    return Contents(tuple(found), skipped)


def _skipped(part: Part, why: str) -> tuple[Skipped, ...]:
    """Return what is said of a file that was read otherwise; of a piece of one it is expected."""
    return () if part.is_inner else (Skipped(part.path, why),)


def _commands(
    part: Part, data: Iterable[Request] = (), *, is_loose: bool = False
) -> Iterator[Placed]:
    commands = _unclaimed(find_commands(part.text, part.language), data)
    return _shown(part, commands, is_loose=is_loose or part.language in ("yaml", "markdown"))


def _unclaimed(commands: Iterable[Command], data: Iterable[Request]) -> Iterator[Command]:
    """Return commands, but no URLs without a client of requests of which more is known."""
    claimed = Spans((one.at, one.end) for one in data)
    for one in commands:
        if one.client or not claimed.overlap(one.start, one.end):
            yield one


def _shown(part: Part, commands: Iterable[Command], *, is_loose: bool = False) -> Iterator[Placed]:
    for command in commands:
        judgement = judge(command.call, restate=part.restate)
        if judgement is None:
            continue
        if is_loose and not command.client and command.call.method is not None:
            judgement = replace(judgement, confidence=Confidence.POSSIBLE)
        yield Placed(command.start, command.end, _of_command(part, command, judgement))


def _of_command(part: Part, command: Command, judgement: Judgement) -> Finding:
    told = command.otherwise if judgement.mode is None else None
    unless = f", {told} unless told otherwise" if told else ""
    edits = command_edits(command, judgement)
    if edits:
        replacement = rewritten(part.text, edits, command.start, command.end).strip()
    else:
        template = command_rules().replacement[_family(command.client, part.language)]
        replacement = EXAMPLE + template.format(
            url=_new_url(command.code), mode=judgement.mode or "MODE"
        )
    if judgement.confidence is Confidence.CERTAIN and puts(edits, judgement.mode):
        url_ends = unheeded_curls(part.text, part.language).get(command.start)
        edits = edits if any(one.end == url_ends for one in edits) else ()
    else:
        edits = ()
    return finding(
        part,
        command.at,
        judgement,
        code=command.code[:MOST_CODE],
        replacement=replacement,
        edits=edits,
        more=unless,
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
    return url_in(code) or "$RESTATE_ADMIN_URL/invocations/$INVOCATION_ID"


def _plain(part: Part, requests: Iterable[Request]) -> Iterator[Placed]:
    for at, end, code, judgement in requests:
        if judgement is None:
            continue
        replacement = (
            command_rules()
            .replacement["request"]
            .format(url=_new_url(code), mode=judgement.mode or "MODE")
        )
        found = finding(part, at, judgement, code=code[:MOST_CODE], replacement=replacement)
        yield Placed(at, end, found)


def _openapi(part: Part, operations: Iterable[Operation]) -> Iterator[Placed]:
    """Return the old route where a description of an API holds it."""
    for one in operations:
        if judge(Call("DELETE", one.path, words="restate"), restate=True) is None:
            continue
        level = Confidence.POSSIBLE
        if one.is_named or part.restate:
            level = Confidence.LIKELY
        if one.is_named and part.restate:
            level = Confidence.CERTAIN
        why = "the old route in a description of the API: take that of Restate 1.4 or later"
        judgement = Judgement(None, mode_given=False, confidence=level, reason=why)
        request = Request(one.at, one.at + len("delete"), one.code, judgement)
        for placed in _plain(part, [request]):
            new = f"{one.path}/{{kill,cancel,purge}}: patch"
            yield placed._replace(finding=replace(placed.finding, replacement=new))


def _inner(part: Part, inner: Inner) -> Contents:
    """Return what a piece of a file holds, at the places where it stands."""
    language, excerpt = inner
    if language == part.language or "invocation" not in excerpt.text.lower():
        return Contents()
    piece = Part(part.path, excerpt.text, language, part.restate, is_inner=True)
    contents = _contents(piece)
    found = []
    for one in contents.findings:
        at = excerpt.at(piece.lines.index(one.line, one.column))
        line, column = part.lines.place(at)
        # Without a grammar of the whole file, nothing says that it would still parse; and what
        # people read may be about the old call.
        found.append(replace(one, line=line, column=column, language=part.language, edits=()))
    return Contents(tuple(found), contents.skipped)


def _all_inner(part: Part, each: Iterable[Inner]) -> Contents:
    contents = [_inner(part, one) for one in each]
    return Contents(
        tuple(found for one in contents for found in one.findings),
        tuple(skipped for one in contents for skipped in one.skipped),
    )


def _markdown(part: Part) -> Contents:
    blocks, prose = fences(part)
    contents = _all_inner(part, blocks)
    return replace(contents, findings=(*contents.findings, *_prose(replace(part, text=prose))))


def _prose(part: Part) -> Iterator[Finding]:
    for command in find_commands(part.text, comments=False):
        judgement = judge(command.call, restate=part.restate)
        if judgement is None:
            continue
        if not command.client:
            judgement = replace(judgement, confidence=Confidence.POSSIBLE)
        yield _of_command(part, command, judgement)


def _notebook(part: Part) -> Contents:
    held = cells(part)
    if held is None:
        return Contents(skipped=(Skipped(part.path, "no notebook: its JSON cannot be read"),))
    return _all_inner(part, held)


def _component(part: Part) -> Contents:
    return _all_inner(part, scripts(part))
