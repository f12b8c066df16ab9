"""What the words of a command ask for: of which program, by which method, with which URL."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from shim.scan.judging import HOLE, route, spelled
from shim.scan.variables import Variables
from shim.scan.words import Word

_NAMES: Final = (
    "curl|curlie|wget|https?|xhs?|httpie|invoke-restmethod|invoke-webrequest|irm|iwr|hey|oha|vegeta"
)
CLIENT: Final = re.compile(
    rf"(?i)(?<![\w.$-])(?P<name>{_NAMES})(?:\.exe)?(?=[\s\"',\]])(?!\s?[:=])"
)
"""A client's name in a text."""
_CLIENT_WORD: Final = re.compile(rf"(?i)(?:\S{{0,200}}[/\\>!(@]|[-+])?(?P<name>{_NAMES})(?:\.exe)?")
METHOD: Final = re.compile(
    r"(?i)(?:(?<=[\s\"'\[])-\w{0,12}X|--request|--method|-CustomMethod|-Method)[\s=\"',:\\]{0,12}"
    r"(?P<value>\$?[{(]?[\w\x00]{1,30})"
)
"""A method that is given by a flag, in a text."""
_SHORT_METHOD: Final = re.compile(r"\s-m[\s=]?(?P<value>[A-Za-z\x00]{1,30})")
_WORD: Final = re.compile(r"(?<![\w/.-])(?P<value>DELETE|GET|PATCH|POST|PUT|HEAD)(?![\w/-])")
# Somebody's own command that is given the method first.
LEADS: Final = re.compile(
    r"[-{}!$]|do|then|else|if|while|time|sudo|RUN|CMD|[\w.-]{1,60}:|\w{1,60}=\S{0,200}"
)
"""What stands before a command."""
_OWN: Final = re.compile(r"[@-]?[\w./-]{1,60}")
# A request that is spoken of: in what a script prints, say.
_MENTIONED: Final = re.compile(r"DELETE\s{1,9}\S{0,300}invocations/")
# They ask nobody for anything.
_OF_FILES: Final = frozenset(
    {
        *("rm", "rmdir", "mv", "cp", "ln", "ls", "cd", "cat", "touch", "mkdir", "chmod", "chown"),
        *("find", "grep", "rg", "sed", "awk", "head", "tail", "less", "test", "[", "[[", "git"),
        *("tar", "zip", "unzip", "rsync", "scp", "stat", "basename", "dirname", "realpath"),
    }
)
_WORDY: Final = frozenset({"http", "https", "xh", "xhs", "httpie"})
_SMALL_WORD: Final = re.compile(r"\s(?P<value>delete|get|patch|post|put|head)\s")
_PARAMETER: Final = re.compile(r"(?i)(?<![?&\w])mode={1,2}(?P<mode>[\w$\x00{}]{1,30})")
_IS_CURL: Final = frozenset({"curl", "curlie"})
_TAKES_NO_URL: Final = re.compile(
    r"-\w{0,12}[HdoeAwFTKbcu]|--(?:header|data[\w-]{0,20}|json|output|referer|user-agent|write-out|"
    r"form[\w-]{0,10}|cookie[\w-]{0,10}|upload-file|config|user|url-query)"
)
_GETS: Final = re.compile(r"-\w{0,12}G\w{0,12}|--get")
_QUERY: Final = re.compile(
    r"(?:-\w{0,12}d|--data[\w-]{0,20}|--url-query)(?:=|$)?(?P<value>.{0,300})"
)
_ALL_OF_IT: Final = re.compile(r"\$\{?\w{1,60}(?:\[[@*]\])?\}?")
_METHODS: Final = frozenset({"DELETE", "GET", "PATCH", "POST", "PUT"})
_GIVEN_LAST: Final = re.compile(
    r"invocations/[^\s?#]{0,200}?(?:\$[1-9@*]|\$\{[1-9@*][^{}]{0,100}\}|\$\([1-9]\)|%~?[1-9*]|\$args\[\d\])$"
)
_ANYTHING: Final = frozenset({HOLE, "$@", "$*"})
_TAKES_VALUE: Final = re.compile(r"-{1,2}(?![sSkfLvi]{1,9}$|(?:silent|fail|insecure)$)\S{1,60}")
_MOST_WORDS: Final = 1_500


@dataclass(frozen=True, slots=True)
class Argument:
    """A word with the values of its variables put in, and labels for what is not known."""

    text: str
    holes: tuple[str, ...]
    word: Word

    @property
    def spelled(self) -> str:
        """Return the text, or ``HOLE`` and the labels where it is not all known."""
        return spelled(self.text, self.holes)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to the route's path.

    ``keyed`` is what is given as the mode besides the URL; ``is_open`` says that more may be given.
    """

    client: str
    method: str | None
    url: Argument
    keyed: tuple[str, ...]
    words: str
    is_open: bool


def arguments(
    words: Sequence[Word], variables: Variables, line: int, labels: Mapping[int, str]
) -> tuple[list[Argument], frozenset[str]]:
    """Return words with the values that their variables have on a line.

    ``labels`` are those of what is not known in the line already.  The second value are the modes
    that hold where nobody gives another one.
    """
    found: list[Argument] = []
    otherwise: frozenset[str] = frozenset()
    for word in words:
        texts: list[str] = []
        holes: list[str] = []
        for start, end, is_made in word.runs:
            text = word.text.text[start:end]
            if is_made:
                texts.append(HOLE)
                holes.append(text[:300])
                continue
            known = [
                labels.get(word.text.at(start + index), "")
                for index, char in enumerate(text)
                if labels and char == HOLE
            ]
            filled = variables.put_in(text, line, known)
            texts.append(filled.text)
            holes += filled.holes
            otherwise |= filled.otherwise
        one = Argument("".join(texts), tuple(holes), word)
        found += _split(one) if _is_several(one) else [one]
    return list(_added(found)), otherwise


def _added(found: list[Argument]) -> Iterator[Argument]:
    """Return arguments with those joined that stand with a ``+`` between them, as in PowerShell."""
    parts: list[Argument] = []
    for number, one in enumerate(found):
        is_plus = one.text == "+" and parts and number + 1 < len(found)
        if parts and not is_plus and found[number - 1].text != "+":
            yield _sum(parts)
            parts = []
        if not is_plus:
            parts.append(one)
    if parts:
        yield _sum(parts)


def _sum(parts: list[Argument]) -> Argument:
    first, last = parts[0].word, parts[-1].word
    if len(parts) == 1:
        return parts[0]
    # More than one piece: where it ends is not where the path does.
    word = replace(first, end=last.end, runs=(*first.runs, *last.runs))
    return Argument(
        "".join(one.text for one in parts), tuple(hole for one in parts for hole in one.holes), word
    )


def _is_several(one: Argument) -> bool:
    """Tell whether it is a variable that holds several words: ``$CURL``, ``${opts[@]}``."""
    raw = one.word.text.text
    if len(one.text.split()) < 2 or not _ALL_OF_IT.fullmatch(raw):
        return False
    return "[" in raw or not one.word.is_quoted


def _split(one: Argument) -> Iterator[Argument]:
    at = 0
    for text in one.text.split():
        count = text.count(HOLE)
        yield replace(one, text=text, holes=one.holes[at : at + count])
        at += count


def by_client(found: list[Argument]) -> Iterator[tuple[str, list[Argument]]]:
    """Return the arguments of each client, its own name the first, or all of them for none."""
    named = [_CLIENT_WORD.fullmatch(one.text) for one in found]
    starts = [number for number, client in enumerate(named) if client]
    if not starts:
        yield "", found
        return
    for start, end in zip(starts, [*starts[1:], len(found)], strict=True):
        name = named[start]
        client = name["name"].lower() if name else ""
        begin = start
        for number in range(start + 1, end):
            if client in _IS_CURL and found[number].text in ("--next", "-:"):
                yield client, found[begin:number]
                begin = number
        yield client, found[begin:end]


def asked(client: str, found: list[Argument]) -> Iterator[Asked]:
    """Return the requests to the route's path that a program is told to make."""
    if not any("invocations" in one.text for one in found):
        return
    text = " ".join(one.text for one in found)
    if not client and METHOD.search(f" {text}"):
        # Arguments without their program.
        client = "curl"
    method = _method(found, text, client)
    if method is None and not client:
        is_told = "mode=" not in text or _MENTIONED.search(text)
        if is_told or found[0].text.lstrip("@-") in _OF_FILES:
            return
    keyed = _keyed(found, text, client)
    more = _is_given_more(found)
    for number, one in enumerate(found):
        before = found[number - 1].text if number else ""
        if _is_url(one.text, before, client):
            # What its caller gives it, last in the path, may have a query.
            is_open = more or _GIVEN_LAST.search(one.word.text.text) is not None
            yield Asked(client, method, one, keyed, text[:_MOST_WORDS], is_open)


def _is_url(text: str, before: str, client: str) -> bool:
    start = text.find("invocations")
    if start < 0 or route(text) is None:
        return False
    if not client:
        return True
    if client in _IS_CURL and _TAKES_NO_URL.fullmatch(before):
        return False
    return not any(char.isspace() for char in text[:start].lstrip())


def _method(found: list[Argument], text: str, client: str) -> str | None:
    flags = [*METHOD.finditer(f" {text}")]
    if client in ("hey", "oha", "vegeta"):
        flags += _SHORT_METHOD.finditer(text)
    if flags:
        value = flags[-1]["value"].upper()
        return None if HOLE in value or "$" in value else value
    if client in _WORDY and (said := _SMALL_WORD.search(text)):
        return said["value"].upper()
    words = [one["value"] for one in _WORD.finditer(text)]
    if client in _WORDY and words:
        return words[0]
    if not client:
        return _given_first(found)
    if "mode=" in text and any(one.text == HOLE for one in found):
        # Options that are not known.
        return None
    return "DELETE" if words[:1] == ["DELETE"] else "GET"


def _given_first(found: list[Argument]) -> str | None:
    """Return the method that somebody's own command is given before all else."""
    texts = [one.text for one in found[:8]]
    while texts and LEADS.fullmatch(texts[0]):
        texts.pop(0)
    is_given = len(texts) > 1 and texts[1] in _METHODS and _OWN.fullmatch(texts[0])
    return texts[1] if is_given else None


def _is_given_more(found: list[Argument]) -> bool:
    """Tell whether there are words that are not known, and none of an option."""
    return any(
        one.text in _ANYTHING and not _TAKES_VALUE.fullmatch(before.text)
        for before, one in pairwise(found)
    )


def _keyed(found: list[Argument], text: str, client: str) -> tuple[str, ...]:
    """Return what is given as the parameter ``mode`` of the query, but not in the URL."""
    if client in _WORDY:
        given = [one for one in found if one.text.startswith("mode==")]
        return tuple(one.spelled.replace("mode==", "") for one in given)
    if client in _IS_CURL:
        gets = any(_GETS.fullmatch(one.text) for one in found)
        return tuple(_of_query(found, gets=gets))
    if client:
        return ()
    return tuple(
        HOLE + one["mode"] if "$" in one["mode"] or HOLE in one["mode"] else one["mode"]
        for one in _PARAMETER.finditer(text)
    )


def _of_query(found: list[Argument], *, gets: bool) -> Iterator[str]:
    """Return the modes among what curl puts in the query: with ``-G``, or by ``--url-query``."""
    for number, one in enumerate(found):
        option = _QUERY.fullmatch(one.text)
        if option is None or not (gets or one.text.startswith("--url-query")):
            continue
        value = option["value"] or (found[number + 1].text if number + 1 < len(found) else "")
        given = one if option["value"] else found[min(number + 1, len(found) - 1)]
        for pair in value.split("&"):
            if pair.startswith("mode="):
                mode = pair.removeprefix("mode=")
                yield HOLE + " ".join(given.holes) if HOLE in mode else mode
