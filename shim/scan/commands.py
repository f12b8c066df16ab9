"""Command lines that make a request: in scripts, CI files, Dockerfiles, Makefiles, documents."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from shim.scan.finding import Edit
from shim.scan.judging import HOLE, Call, route

_LONGEST_LINE: Final = 8_000
_LONGEST_VALUE: Final = 2_000
_CLIENT: Final = re.compile(
    r"(?i)(?<![\w./$-])(?P<name>curl|curlie|wget|https?|xhs?|httpie|invoke-restmethod|invoke-webrequest|irm|iwr|hey|oha|"
    r"vegeta)(?:\.exe)?(?=[\s\"',\]])(?!\s?[:=])"
)
_METHOD: Final = re.compile(
    r"(?i)(?:(?<=[\s\"'\[])-\w{0,12}X|--request|--method|-CustomMethod|-Method|(?<=\s)-m)[\s=\"',:\\]{0,12}"
    r"(?P<value>\$?[{(]?[\w\x00]{1,30})"
)
_WORD: Final = re.compile(
    r"(?<![\w/.-])[\"']?(?P<value>DELETE|GET|PATCH|POST|PUT|HEAD)[\"']?(?![\w/-])"
)
# Somebody's own command that is given the method first.
_GIVEN_TO: Final = re.compile(
    r"(?:^|[$(;&|{])\s{0,80}[@-]?[\w./-]{1,60}\s{1,9}[\"']?(?P<value>DELETE|GET|PATCH|POST|PUT)[\"']?\s"
)
# A request that is spoken of: in what a script prints, say.
_MENTIONED: Final = re.compile(r"DELETE\s{1,9}\S{0,300}invocations/")
_WORDY: Final = frozenset({"http", "https", "xh", "xhs", "httpie"})
_SMALL_WORD: Final = re.compile(r"\s(?P<value>delete|get|patch|post|put|head)\s")
_SPLIT: Final = re.compile(r"\s(?:&&|\|\||;|\|)(?=\s)|;(?=\s)|\s&&|\|\|")
_VARIABLE: Final = re.compile(
    r"\$\{\{\s?(?P<ci>[^{}]{1,80})\}\}|\$\{(?:env:)?(?P<braced>\w{1,60})(?P<default>[^{}]{0,100})\}|\$\((?P<made>\w{1,60})\)|"
    r"\$(?:env:)?(?P<plain>\w{1,60})|%(?P<batch>\w{1,60})%|\$\((?P<run>[^()]{1,120})\)|\{\{(?P<template>[^{}]{1,100})\}\}"
)
_USED: Final = re.compile(r"\$[{(]?(\w{1,60})|%(\w{1,60})%|\.(\w{1,60}) ")
# Where a text in one kind of quotes goes on in the other: 'a'"$b"'c'.
_JUNCTION: Final = re.compile(r"'\"|\"'")
_DEFAULT: Final = re.compile(r":?[-=](?P<value>[^{}]{0,100})$")
_ASSIGNED: Final = re.compile(
    r"^\s{0,80}(?:-\s)?(?:(?:export|local|readonly|declare|typeset|set|ENV|ARG|env|def|final|String)\s+(?:-\w+\s+)?)?"
    r"\$?(?:env:|script:|global:)?(?P<name>[A-Za-z_]\w{0,60})\s?(?::=|\?=|=|:\s)\s?(?P<value>\S.{0,1900})$"
)
_ASSIGNED_BY_SPACE: Final = re.compile(
    r"^\s{0,80}(?:ENV|set|setenv)\s(?:-\w{1,3}\s)?(?P<name>[A-Za-z_]\w{0,60})\s(?P<value>\S{1,1900})$"
)
_PARAMETER: Final = re.compile(r"(?i)(?<![?&\w])mode={1,2}[\"']?(?P<mode>[\w$\x00{}]{1,30})")
_TELLS: Final = re.compile(
    r"^\s{0,80}[@-]{0,2}(?:echo|printf|print|log\w{0,10}|die|warn|error|info|Write-\w{1,10})\b"
)
_COMMENT: Final = re.compile(r"^\s{0,200}(?:#(?!!)|//|\*\s|/\*|<!--|::|(?i:rem)\s)")
_TAIL_COMMENT: Final = re.compile(r"\s#\s.{0,2000}$")
_ITEM: Final = re.compile(r"^\s{0,80}-\s")
_FOLDED: Final = re.compile(r"(?::|-)\s{1,4}>[-+\d]{0,2}\s{0,8}$")
_MOST_PARTS: Final = 200


_MOST_CODE: Final = 1_500
_GIVEN_LAST: Final = re.compile(
    r"invocations/[^\s?#]{0,200}?(?:\$[1-9@*]|\$\{[1-9@*][^{}]{0,100}\}|\$\([1-9]\)|%~?[1-9*]|\$args\[\d\])"
    r"(?=[\"'\s;|)&>]|$)"
)
_SHELL_WORDS: Final = re.compile(r"(?:\"[^\"]{0,2000}\"|'[^']{0,2000}'|[^\s\"'\x01])+")
_OPENED: Final = {")": "(", "]": "[", "}": "{"}
_MOST_CLOSED: Final = 20
_ANYTHING: Final = frozenset({HOLE, "$@", "$*"})
_TAKES_VALUE: Final = re.compile(
    r"-{1,2}(?![sSkfLvi]{1,9}$|(?:silent|fail|insecure)$)\S{1,60}|\d?[<>]{1,2}"
)


@dataclass(frozen=True, slots=True)
class Logical:
    """A line as it is meant: continued lines joined, with where each part of it stands."""

    text: str
    marks: tuple[tuple[int, int], ...]

    def at(self, index: int) -> int:
        """Return where in the file a character of the line stands."""
        for start, offset in reversed(self.marks):
            if index >= start:
                return offset + index - start
        return 0


@dataclass(frozen=True, slots=True)
class Command:
    """One command that makes a request; ``start`` and ``end`` are characters of the file."""

    call: Call
    start: int
    end: int
    code: str
    client: str
    segment: Segment


@dataclass
class Variables:
    """The variables that lines above have given a value."""

    values: dict[str, str] = field(default_factory=dict)

    def learn(self, line: str) -> None:
        """Keep what a line assigns."""
        found = _ASSIGNED.match(line) or _ASSIGNED_BY_SPACE.match(line)
        if found is None:
            return
        value = _TAIL_COMMENT.sub("", found["value"]).strip().rstrip(";").strip()
        if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        self.values[found["name"]] = value[:_LONGEST_VALUE]

    def put_in(self, text: str, depth: int = 0) -> tuple[str, tuple[str, ...]]:
        """Return ``text`` with its variables' values, and a label for each that is not known."""
        holes: list[str] = []

        def value_of(found: re.Match[str]) -> str:
            names = found.groupdict()
            name = names["braced"] or names["made"] or names["plain"] or names["batch"] or ""
            for source in ("ci", "template"):
                if names[source]:
                    name = names[source].strip().rpartition(".")[2]
            known = self.values.get(name)
            default = _DEFAULT.match(names["default"] or "")
            if known is None and default is not None and default["value"][:1] != "?":
                # A query by default may be another one.
                known = default["value"]
            if known is None or depth > 4 or len(holes) > 40:
                holes.append(f"{found[0]} {known or ''}"[:300])
                return HOLE
            # A variable that is given its own value has none that is known.
            others = {one: value for one, value in self.values.items() if one != name}
            inner, more = Variables(others).put_in(known, depth + 1)
            holes.extend(more)
            return inner

        if "$" not in text and "%" not in text and "{{" not in text:
            return text, ()
        return _VARIABLE.sub(value_of, text)[: 4 * _LONGEST_VALUE], tuple(holes)


def logical_lines(text: str, *, yaml: bool = False) -> Iterator[Logical]:
    """Return the lines of a text with continued ones joined; too long ones are left out."""
    rows = _Rows(text)
    while rows.left:
        parts = rows.continued()
        if yaml and _FOLDED.search(parts[-1][0]):
            parts += rows.folded(_indent(parts[0][0]))
        elif yaml and _ITEM.match(parts[0][0]) and _words_only(parts[0][0]):
            parts += rows.items(_indent(parts[0][0]))
        if sum(len(piece) for piece, _ in parts) > _LONGEST_LINE:
            continue
        marks, joined = [], ""
        for piece, where in parts:
            marks.append((len(joined), where))
            joined += piece
        yield Logical(joined, tuple(marks))


class _Rows:
    """The lines of a text, taken one after the other; each with where it begins."""

    def __init__(self, text: str) -> None:
        self._rows = text.splitlines(keepends=True)
        self._at = 0
        self._offset = 0

    @property
    def left(self) -> bool:
        """Return whether there are any left."""
        return self._at < len(self._rows)

    def _peek(self) -> str:
        return self._rows[self._at].rstrip("\r\n")

    def _take(self) -> tuple[str, int]:
        row, offset = self._peek(), self._offset
        self._offset += len(self._rows[self._at])
        self._at += 1
        return row, offset

    def continued(self) -> list[tuple[str, int]]:
        """Take a line and those that it goes on in."""
        parts: list[tuple[str, int]] = []
        while self.left and len(parts) < _MOST_PARTS:
            row, offset = self._take()
            indent = _indent(row) if parts else 0
            more = row.endswith(("\\", " `", "^")) and self.left
            parts.append((row[indent : len(row) - 1 if more else None], offset + indent))
            if not more:
                break
        return parts

    def folded(self, own: int) -> list[tuple[str, int]]:
        """Take the lines of a folded text of YAML, which are one line."""
        parts: list[tuple[str, int]] = []
        while self.left and len(parts) < _MOST_PARTS:
            if self._peek().strip() and _indent(self._peek()) <= own:
                break
            row, offset = self._take()
            parts.append((f" {row.strip()}", offset + max(0, _indent(row) - 1)))
        return parts

    def items(self, own: int) -> list[tuple[str, int]]:
        """Take the items of a list of words of YAML, as arguments are given."""
        parts: list[tuple[str, int]] = []
        while self.left and len(parts) < _MOST_PARTS:
            row = self._peek()
            if not _ITEM.match(row) or _indent(row) != own or not _words_only(row):
                break
            row, offset = self._take()
            parts.append((f" {row.strip()[2:].strip()}", offset + row.find("-") + 1))
        return parts


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _words_only(line: str) -> bool:
    """Tell whether an item of a list is one word or a quoted one, as arguments are."""
    body = line.strip()[2:].strip()
    return (
        bool(body)
        and (body[0] in "\"'" or " " not in body)
        and not body.endswith(":")
        and ": " not in body
    )


def find_commands(
    text: str, *, yaml: bool = False, comments: bool = True, known: Mapping[str, str] | None = None
) -> Iterator[Command]:
    """Return the commands of a text that make a request to the route's path.

    ``comments`` says that a line that begins with ``#`` or ``//`` is none.
    """
    variables = Variables(dict(known or {}))
    lines = list(logical_lines(text, yaml=yaml))
    used = {name for found in _USED.findall(text) for name in found if name}
    for line in lines:
        if comments and _COMMENT.match(line.text):
            continue
        variables.learn(line.text)
        if _is_used(line.text, used) or not _may_ask(line.text):
            continue
        yield from _of_line(line, variables)


def _may_ask(line: str) -> bool:
    """Tell whether a line names the route, or a client and a variable that may hold it."""
    holds_variable = "$" in line or "%" in line or "{{" in line
    return "invocations" in line or (holds_variable and _CLIENT.search(line) is not None)


def _is_used(line: str, used: set[str]) -> bool:
    """Tell whether a line only gives a variable a value, which another line uses."""
    found = _ASSIGNED.match(line) or _ASSIGNED_BY_SPACE.match(line)
    return found is not None and found["name"] in used and not _CLIENT.search(line)


def commands_in(text: str, holes: tuple[str, ...] = ()) -> Iterator[Command]:
    """Return the commands of one command line that a program holds."""
    yield from _of_line(Logical(text, ((0, 0),)), Variables(), holes)


def _of_line(line: Logical, variables: Variables, holes: tuple[str, ...] = ()) -> Iterator[Command]:
    cut = _TAIL_COMMENT.search(line.text)
    whole = line.text
    if (
        cut
        and whole[: cut.start()].count('"') % 2 == 0
        and whole[: cut.start()].count("'") % 2 == 0
    ):
        whole = whole[: cut.start()]
    at = 0
    for end in [*(found.start() for found in _SPLIT.finditer(whole)), len(whole)]:
        piece = whole[at:end]
        clients = list(_CLIENT.finditer(piece))
        starts = [found.start() for found in clients] or [0]
        for number, start in enumerate(starts):
            stop = [*starts, len(piece)][number + 1]
            client = clients[number]["name"].lower() if clients else ""
            segment = Segment(line, at + start, piece[start:stop], client, piece[:start])
            command = _of_segment(segment, variables, holes)
            if command is not None:
                yield command
        at = end


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a line that begins with a client, and what stands ``before`` it there."""

    line: Logical
    at: int
    text: str
    client: str
    before: str

    def span(self) -> tuple[int, int]:
        """Return where it begins and ends in ``text``, without what closes around it."""
        start = len(self.text) - len(self.text.lstrip())
        code = self.text[start : start + _MOST_CODE].rstrip()
        for _ in range(_MOST_CLOSED):
            if not _closes_more(code):
                break
            code = code[:-1].rstrip()
        return start, start + len(code)

    def offset(self, index: int) -> int:
        """Return where in the file a character of ``text`` stands."""
        return self.line.at(self.at + index)

    def edit(self, start: int, end: int, new: str) -> Edit:
        """Return the edit of the file that replaces characters of ``text``."""
        if start == end:
            where = self.offset(start - 1) + 1
            return Edit(where, where, new)
        return Edit(self.offset(start), self.offset(end - 1) + 1, new)


def _closes_more(code: str) -> bool:
    """Tell whether a piece of code ends with what closes something around it."""
    last = code[-1:]
    if last in _OPENED:
        return code.count(last) > code.count(_OPENED[last])
    return last in ("'", '"', "`") and code.count(last) % 2 == 1


def _of_segment(segment: Segment, variables: Variables, holes: tuple[str, ...]) -> Command | None:
    text, found_holes = variables.put_in(segment.text)
    text = _JUNCTION.sub("", text)
    if "invocations" not in text or route(text) is None or _is_told(segment):
        return None
    client = segment.client
    flag = None if client else _METHOD.search(segment.text)
    if not client:
        named = _CLIENT.search(text)
        client = named["name"].lower() if named else "curl" if flag else ""
    method = _method(text, client)
    if method is None and not client and ("mode=" not in text or _MENTIONED.search(text)):
        return None
    keyed = tuple(one["mode"] for one in _PARAMETER.finditer(text))
    keyed = tuple(HOLE + one if "$" in one or HOLE in one else one for one in keyed)
    call = Call(
        method,
        text,
        (*holes, *found_holes),
        keyed,
        segment.before[-200:],
        open_query=_is_open(segment.text, text),
    )
    start, end = segment.span()
    if flag is not None:
        # Arguments without their program: the method is where it shows.
        start = flag.start()
    return Command(
        call,
        segment.offset(start),
        segment.offset(max(start, end - 1)) + 1,
        segment.text[start:end],
        client,
        segment,
    )


def _is_open(raw: str, text: str) -> bool:
    """Tell whether a command may be given a mode from elsewhere.

    As what its caller gives it, last in the path, or as words that are not known.
    """
    if _GIVEN_LAST.search(raw):
        return True
    words = [word.strip("\"',[]") for word in _SHELL_WORDS.findall(text)]
    return any(
        word in _ANYTHING and not _TAKES_VALUE.fullmatch(before) for before, word in pairwise(words)
    )


def _is_told(segment: Segment) -> bool:
    """Tell whether a line only prints a command."""
    if not segment.client:
        return _TELLS.search(segment.text) is not None
    before = segment.before
    return _TELLS.search(before) is not None and (before.count('"') + before.count("'")) % 2 == 1


def _method(text: str, client: str) -> str | None:
    given = [found["value"] for found in _METHOD.finditer(text)]
    if given:
        value = given[-1].upper()
        return None if HOLE in value or "$" in value else value
    words = [found["value"].upper() for found in _WORD.finditer(text)]
    if client in _WORDY and (said := _SMALL_WORD.search(text)):
        return said["value"].upper()
    if client in _WORDY and words:
        return words[0]
    if not client:
        given_to = _GIVEN_TO.search(text)
        return given_to["value"] if given_to else None
    if client in ("curl", "wget", "curlie", "irm", "iwr", "invoke-restmethod", "invoke-webrequest"):
        if HOLE in text.partition("invocations")[0].partition("://")[0] and "mode=" in text:
            # Options that are not known.
            return None
        return words[0] if words and words[0] == "DELETE" else "GET"
    if client:
        return "GET"
    return None
