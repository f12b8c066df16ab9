"""Command lines that make a request: in scripts, CI files, Dockerfiles, Makefiles, documents."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Final

from shim.scan.arguments import CLIENT, LEADS, METHOD, Argument, Asked, arguments, asked, by_client
from shim.scan.excerpts import Excerpt, joined
from shim.scan.finding import Edit
from shim.scan.judging import HOLE, Call
from shim.scan.lines import Line, logical_lines
from shim.scan.variables import Variables, assigned_alone
from shim.scan.words import Simple, Word, read_words

_DEEPEST: Final = 4
"""Command lines within command lines that are read, each within the one before."""
_OF_SHELLS: Final = frozenset(
    {"shell", "powershell", "dockerfile", "makefile", "yaml", "json", "markdown", "http"}
)
_USED: Final = re.compile(r"\$[{(]?(\w{1,60})|%(\w{1,60})%|\.(\w{1,60}) ")
_GIVES: Final = re.compile(r"(?P<name>[A-Za-z_]\w{0,60})\+?=")
_TELLS: Final = re.compile(
    r"[@-]{0,2}(?:echo|printf|print|log\w{0,10}|die|warn|error|info|Write-\w{1,10}|[ef]?grep|rg|git)\b"
)
_SHELLS: Final = frozenset({"sh", "bash", "zsh", "ksh", "dash", "xargs", "parallel", "eval"})
_WITH_OWN_QUOTES: Final = frozenset({"awk", "gawk", "mawk", "nawk", "jq"})
# Where texts are put together in awk ("a" $1 "b") and in jq ("a" + .id + "b").
_GLUE: Final = re.compile(
    r"(?<!\\)\"\s{0,8}\+?\s{0,8}(?P<value>[$.\w][\w.$\[\]]{0,60})\s{0,8}(?:\+\s{0,8}\"|\"|(?=[,;|})]|$))"
)
_COMMENT: Final = re.compile(r"^\s{0,200}(?:#(?!!)|//|\*\s|/\*|<!--|::|(?i:rem)\s)")
_MOST_CODE: Final = 1_500
_MOST_BEFORE: Final = 200


@dataclass(frozen=True, slots=True)
class Command:
    """One request that a command makes.

    ``start`` and ``end`` are characters of the file; ``at`` is the one where it is shown.
    ``otherwise`` is the mode that holds where nobody gives another one.
    """

    call: Call
    start: int
    end: int
    at: int
    code: str
    client: str
    segment: Segment
    otherwise: str | None = None


@dataclass(frozen=True, slots=True)
class _Read:
    """A command as it is read, and from where on the line what stands around it."""

    words: list[Word]
    around: int
    depth: int
    is_told: bool


@dataclass(frozen=True, slots=True)
class _Reading:
    """How a text is read, and what is known on a line of it.

    ``labels`` are of what is not known, by where it stands.
    """

    variables: Variables = field(default_factory=Variables)
    used: frozenset[str] = frozenset()
    is_powershell: bool = False
    is_loose: bool = False
    comments: bool = True
    line: int = 0
    labels: Mapping[int, str] = field(default_factory=dict)


def find_commands(
    text: str, language: str = "shell", *, comments: bool = True
) -> Iterator[Command]:
    """Return the commands of a text that make a request to the route's path.

    ``comments`` says that what begins with ``#`` or ``//`` is one.
    """
    lines = list(logical_lines(text, yaml=language == "yaml"))
    variables = Variables(line.text for line in lines)
    used = frozenset(name for found in _USED.findall(text) for name in found if name)
    reading = _Reading(
        variables, used, language == "powershell", language not in _OF_SHELLS, comments
    )
    for number, line in enumerate(lines):
        if comments and _COMMENT.match(line.text):
            continue
        if not _may_ask(line.text) or _is_used(line.text, used):
            continue
        yield from _of_line(line, replace(reading, line=number))


def _may_ask(line: str) -> bool:
    """Tell whether a line names the route, or a client and a variable that may hold it."""
    holds_variable = "$" in line or "%" in line or "{{" in line
    return "invocations" in line or (holds_variable and CLIENT.search(line) is not None)


def _is_used(line: str, used: frozenset[str]) -> bool:
    """Tell whether a line only gives a variable a value, which another line uses."""
    return assigned_alone(line) in used and not CLIENT.search(line)


def commands_in(text: str, holes: tuple[str, ...] = ()) -> Iterator[Command]:
    """Return the commands of one command line that a program holds."""
    places = (index for index, char in enumerate(text) if char == HOLE)
    labels = dict(zip(places, holes, strict=False))
    yield from _of_line(Line(Excerpt(text)), _Reading(labels=labels))


def commands_of_words(text: str, words: list[Word]) -> Iterator[Command]:
    """Return the commands of a list of arguments that a text holds."""
    read = _Read(words, words[0].start, 0, is_told=False)
    yield from _of_read(Line(Excerpt(text), is_list=True), read, _Reading())


def _of_line(line: Line, reading: _Reading) -> Iterator[Command]:
    for read in _commands(Excerpt(line.text), reading):
        yield from _of_read(line, read, reading)


def _of_read(line: Line, read: _Read, reading: _Reading) -> Iterator[Command]:
    found, otherwise = arguments(read.words, reading.variables, reading.line, reading.labels)
    mode = next(iter(otherwise)) if len(otherwise) == 1 else None
    for client, each in by_client(found):
        if read.is_told or (not client and (_tells(read.words) or _gives(read, reading))):
            continue
        start = each[0].word.start
        before = line.text[max(read.around, start - _MOST_BEFORE) : start]
        for count, request in enumerate(asked(client, each)):
            segment = _segment(line, each, request, is_first=count == 0, is_named=bool(client))
            url = request.url
            words = f"{before} {request.words}"
            at = url.word.start - segment.at if line.is_list and not read.depth else 0
            yield Command(
                Call(
                    request.method,
                    url.text,
                    url.holes,
                    request.keyed,
                    words,
                    open_query=request.is_open,
                ),
                segment.offset(0),
                segment.offset(len(segment.text) - 1) + 1,
                segment.offset(at),
                segment.text[:_MOST_CODE],
                request.client,
                segment,
                mode,
            )


def _segment(
    line: Line, found: list[Argument], request: Asked, *, is_first: bool, is_named: bool
) -> Segment:
    """Return where a request stands on a line: all of its command, or its URL for another one."""
    url = request.url.word
    if not is_first:
        return Segment(line.excerpt, url.start, line.text[url.start : url.end])
    start, end = found[0].word.start, max(one.word.end for one in found)
    name = found[0].word.text
    signs = len(name.text) - len(name.text.lstrip("@+-!"))
    if signs and is_named:
        # Of make, and of notebooks.
        start = name.at(signs)
    if request.client and not is_named:
        # Arguments without their program: the method is where it shows.
        flags = (one.word.start for one in found if METHOD.match(f" {one.text}", 1))
        start = min(next(flags, start), url.start)
    return Segment(line.excerpt, start, line.text[start:end])


def _commands(line: Excerpt, reading: _Reading, within: _Read | None = None) -> Iterator[_Read]:
    """Return the commands of a line, and those of its words that are command lines themselves."""
    depth = within.depth + 1 if within else 0
    for commands in read_words(
        line,
        powershell=reading.is_powershell,
        comments=reading.comments,
        loose=reading.is_loose,
    ):
        for number, one in enumerate(commands):
            if not one.words:
                continue
            inner: list[Word] = []
            words: list[Word] = []
            for word in one.words:
                (inner if depth < _DEEPEST and _is_command_line(word) else words).append(word)
            around = within.around if within else one.words[0].start
            read = _Read(words, around, depth, is_told=within is not None and within.is_told)
            if words:
                yield read
            if inner and _tells(one.words) and not _is_run(commands[number:]):
                read = replace(read, is_told=True)
            for word in inner:
                excerpt = _glued(word.text) if _has_own_quotes(one.words) else word.text
                yield from _commands(excerpt, reading, read)


def _is_command_line(word: Word) -> bool:
    text = word.text.text
    if not word.is_quoted or not _may_ask(text) or len(text.split(None, 1)) < 2:
        return False
    return CLIENT.search(text) is not None or METHOD.search(text) is not None


def _tells(words: list[Word]) -> bool:
    """Tell whether a command only prints what it is given, looks for it, or keeps it."""
    for word in words[:6]:
        if not LEADS.fullmatch(word.text.text):
            return _TELLS.match(word.text.text) is not None
    return False


def _gives(read: _Read, reading: _Reading) -> bool:
    """Tell whether a command only gives a variable a value, which another one uses."""
    given = _GIVES.match(read.words[0].text.text)
    return given is not None and given["name"] in reading.used


def _is_run(commands: list[Simple]) -> bool:
    """Tell whether what the first of some commands prints is run by another: ``… | sh``."""
    for one, following in pairwise(commands[:6]):
        if one.ender != "|":
            return False
        if any(word.text.text.rpartition("/")[2] in _SHELLS for word in following.words):
            return True
    return False


def _has_own_quotes(words: list[Word]) -> bool:
    return any(word.text.text.rpartition("/")[2] in _WITH_OWN_QUOTES for word in words[:6])


def _glued(program: Excerpt) -> Excerpt:
    """Return a program with its texts joined that it puts together."""
    parts: list[Excerpt] = []
    at = 0
    for found in _GLUE.finditer(program.text):
        parts += [program.within(at, found.start()), program.within(*found.span("value"))]
        at = found.end()
        if not found[0].endswith('"'):
            parts.append(Excerpt('"', ((0, program.at(found.end("value") - 1)),)))
    return joined([*parts, program.within(at, len(program.text))])


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a line: one command with what it is given."""

    line: Excerpt
    at: int
    text: str

    def offset(self, index: int) -> int:
        """Return where in the file a character of ``text`` stands."""
        return self.line.at(self.at + index)

    def edit(self, start: int, end: int, new: str) -> Edit:
        """Return the edit of the file that replaces characters of ``text``."""
        if start == end:
            where = self.offset(start - 1) + 1
            return Edit(where, where, new)
        return Edit(self.offset(start), self.offset(end - 1) + 1, new)
