"""Command lines that make a request: in scripts, CI files, Dockerfiles, Makefiles, documents."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from shim.scan.finding import Edit
from shim.scan.judging import HOLE, Call, route
from shim.scan.lines import Logical, logical_lines
from shim.scan.variables import ASSIGNED, ASSIGNED_BY_SPACE, TAIL_COMMENT, Variables

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
_USED: Final = re.compile(r"\$[{(]?(\w{1,60})|%(\w{1,60})%|\.(\w{1,60}) ")
# Where a text in one kind of quotes goes on in the other: 'a'"$b"'c'.
_JUNCTION: Final = re.compile(r"'\"|\"'")
_PARAMETER: Final = re.compile(r"(?i)(?<![?&\w])mode={1,2}[\"']?(?P<mode>[\w$\x00{}]{1,30})")
_TELLS: Final = re.compile(
    r"^\s{0,80}[@-]{0,2}(?:echo|printf|print|log\w{0,10}|die|warn|error|info|Write-\w{1,10})\b"
)
_COMMENT: Final = re.compile(r"^\s{0,200}(?:#(?!!)|//|\*\s|/\*|<!--|::|(?i:rem)\s)")
_QUERY: Final = re.compile(r"\?mode=(?P<mode>[A-Za-z]{4,6})(?![\w&=%$#.-])")
_PATH_END: Final = re.compile(r"invocations/[^?#\"'`/\s\\,;|&)]{1,200}(?=[\"'\s,)\]]|$)")
_LITERAL_METHOD: Final = re.compile(
    r"(?<![\w-])(?:-\w{0,12}X[\s=\"']{0,3}|--request[\s=\"']{1,3}|--method[\s=\"']{1,3})(?P<verb>DELETE)\b"
)


_SENDS_DATA: Final = re.compile(r"(?:^|\s)(?:-G|--get|-d|--data[\w-]{0,20}|--url-query)(?=[\s=])")
_MOST_CODE: Final = 1_500


@dataclass(frozen=True, slots=True)
class Command:
    """One command that makes a request; ``start`` and ``end`` are characters of the file."""

    call: Call
    start: int
    end: int
    code: str
    client: str
    rewrites: tuple[Edit, ...] = ()
    edits: tuple[Edit, ...] = ()


def find_commands(
    text: str, *, yaml: bool = False, comments: bool = True, known: Mapping[str, str] | None = None
) -> Iterator[Command]:
    """Return the commands of a text that make a request to the route's path.

    ``comments`` says that a line that begins with ``#`` or ``//`` is none.
    """
    variables = Variables(dict(known or {}))
    lines = list(logical_lines(text, yaml=yaml))
    used = {name for found in _USED.findall(text) for name in found if name}
    for number, line in enumerate(lines):
        if comments and _COMMENT.match(line.text):
            continue
        variables.learn(line.text)
        if _is_used(line.text, used) or not _may_ask(line.text):
            continue
        waits = any("202" in one.text for one in lines[number : number + 6])
        yield from _of_line(line, variables, waits=waits)


def _may_ask(line: str) -> bool:
    """Tell whether a line names the route, or a client and a variable that may hold it."""
    holds_variable = "$" in line or "%" in line or "{{" in line
    return "invocations" in line or (holds_variable and _CLIENT.search(line) is not None)


def _is_used(line: str, used: set[str]) -> bool:
    """Tell whether a line only gives a variable a value, which another line uses."""
    found = ASSIGNED.match(line) or ASSIGNED_BY_SPACE.match(line)
    return found is not None and found["name"] in used and not _CLIENT.search(line)


def commands_in(text: str, holes: tuple[str, ...] = ()) -> Iterator[Command]:
    """Return the commands of one command line that a program holds."""
    yield from _of_line(Logical(text, ((0, 0),)), Variables(), holes, waits=True)


def _of_line(
    line: Logical, variables: Variables, holes: tuple[str, ...] = (), *, waits: bool
) -> Iterator[Command]:
    cut = TAIL_COMMENT.search(line.text)
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
            command = _of_segment(segment, variables, holes, waits=waits)
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
        code = self.text[start : start + _MOST_CODE].rstrip().rstrip("'\"`)] ")
        tail = self.text[start + len(code) :]
        for quote in "\"'":
            if code.count(quote) % 2 and tail.startswith(quote):
                return start, start + len(code) + 1
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


def _of_segment(
    segment: Segment, variables: Variables, holes: tuple[str, ...], *, waits: bool
) -> Command | None:
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
    call = Call(method, text, (*holes, *found_holes), keyed, segment.before[-200:])
    rewrites = _edits(segment) if client in ("curl", "wget", "curlie") else ()
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
        rewrites,
        () if waits else rewrites,
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


def _edits(segment: Segment) -> tuple[Edit, ...]:
    text = segment.text
    verbs = list(_LITERAL_METHOD.finditer(text))
    if len(verbs) != 1 or text.count("DELETE") != 1 or text.count("invocations") != 1:
        return ()
    verb = segment.edit(verbs[0].start("verb"), verbs[0].end("verb"), "PATCH")
    queries = list(_QUERY.finditer(text))
    if len(queries) == 1 and text.count("mode") == 1 and text.count("?") == 1:
        new = f"/{queries[0]['mode'].lower()}"
        return verb, segment.edit(queries[0].start(), queries[0].end(), new)
    paths = list(_PATH_END.finditer(text))
    if queries or "mode" in text or "?" in text or len(paths) != 1 or _SENDS_DATA.search(text):
        return ()
    return verb, segment.edit(paths[0].end(), paths[0].end(), "/cancel")
