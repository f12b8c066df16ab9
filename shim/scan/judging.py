"""Whether a call is the old one, and how sure that is: the one place where this is decided.

The readers of languages bring each call to one form, :class:`Call`: its method where that is known,
and its URL with ``HOLE`` where a value is not known and ``SEP`` between what is put together by
a function.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_plus

from shim.scan.finding import MODES, Confidence

HOLE: Final = "\x00"
SEP: Final = "\x01"
# A template's own placeholders stand for a value too.
_PLACE: Final = r"\{[^{}/?\x01]{0,80}\}"

# The collection, one segment behind it, and then the end of the path.
_ROUTE: Final = re.compile(
    rf"(?:(?<=[/{SEP}{HOLE}}}\)'\"=\s])|^)invocations(?:/|{SEP}/?)"
    rf"(?P<id>(?:{_PLACE}|[^/?#\s\"'`{SEP}<>\\,;|]|<[^<>/\s]{{1,40}}>){{1,300}})(?P<rest>.?)",
    re.DOTALL,
)
_MODE: Final = re.compile(r"(?:^|[?&\x01\s\"'{])mode=(?P<mode>[^&#\s\"'`\x01\\)|;<]{0,80})")
_ONE_OF_MODES: Final = re.compile(r"[?&]mode=")
_BARE_MODE: Final = re.compile(r"[?&]mode(?=&|$)")
_END_OF_QUERY: Final = re.compile(rf"[#\s{SEP}]")
_SPELLED: Final = re.compile(r"[\w%+.-]*")
_VARIANTS: Final = frozenset({*MODES, *(mode.capitalize() for mode in MODES)})
"""The spellings of a mode that the server takes."""
_VERB: Final = re.compile(r"^\s{0,20}(?:DELETE)\s{1,9}\S{0,300}invocations/")
_PLAIN_PREFIX: Final = re.compile(r"(?i)v\d{1,3}|restate[\w.-]{0,40}|admin[\w.-]{0,40}|api|proxy")
_FILLED: Final = re.compile(rf"[{{}}$%<>()={HOLE}]")
_SLASHES: Final = re.compile(rf"[/{SEP}]")
_BETWEEN: Final = re.compile(r"[\s\"'`]")
_HOST: Final = re.compile(r"(?:[^/\s@]{1,200}@)?[\w.-]{1,200}(?::\d{1,5})?$")
_WORDS_OF_MODE: Final = re.compile(
    r"(?i)(?:^|[^a-z]|(?<=[a-z])(?=[CKP]))(cancel|kill|purge)(?![a-z])"
)
_RESTATE: Final = re.compile(
    r"(?:(?<![A-Za-z])(?:restate|RESTATE)|Restate)(?!ment|s\b|d\b)|(?<!\d)9070(?!\d)|\binv_[0-9a-zA-Z]{4}"
)
_ADMIN: Final = re.compile(r"(?i)(?:^|[^a-z])admin(?![a-z]{1,3}\b)|[a-z]Admin(?![a-z])")
_OTHERS: Final = re.compile(
    r"(?i)openwhisk|amazonaws|sagemaker|bedrock|lambda|/functions/|flink|/namespaces/"
)


@dataclass(frozen=True, slots=True)
class Call:
    """A call as it is read.

    ``method`` is in capitals, or ``None`` where it cannot be told.  ``keyed`` is what is passed as
    the parameter ``mode``: text, with ``HOLE`` where it is not known.  ``words`` is what else
    stands in the call: names of variables, other literals.  ``around`` is the text of the file.
    ``open_query`` says that there may be parameters which are not known.
    """

    method: str | None
    url: str
    holes: tuple[str, ...] = ()
    keyed: tuple[str, ...] = ()
    words: str = ""
    open_query: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    """That a call is the old one: in which mode (``None``: not known), how sure, and why."""

    mode: str | None
    mode_given: bool
    confidence: Confidence
    reason: str


def speaks_of_restate(text: str) -> bool:
    """Tell whether a file has to do with Restate."""
    return _RESTATE.search(text) is not None


def judge(call: Call, *, restate: bool) -> Judgement | None:
    """Return what the call is, or ``None`` where it is not the old one.

    ``restate`` says that the file speaks of Restate.
    """
    if call.method not in ("DELETE", None):
        return None
    found = route(call.url)
    if found is None:
        return None
    prefix, tail = found
    mode, given, odd = _mode(call, tail)
    everything = f"{call.url} {' '.join(call.holes)} {call.words}"
    strong = _RESTATE.search(everything)
    if _OTHERS.search(everything) and not strong:
        return None
    named = mode if given else None
    if _foreign(prefix):
        said = _below_another_path(strong, named)
    elif call.method is None:
        near = mode_in(odd)
        said = _without_method(named or near, restate=restate or strong is not None)
    elif strong:
        refused = f", but {odd}, which Restate refuses (400)" if odd else ""
        said = Confidence.CERTAIN, f"{_sign(strong)}{refused}"
    elif odd:
        level = Confidence.LIKELY if restate else Confidence.POSSIBLE
        said = level, f"{odd}, which Restate refuses (400)"
    else:
        admin = _ADMIN.search(everything) is not None
        said = _by_lesser_signs(named, admin=admin, restate=restate)
    if said is None:
        return None
    what = f"{call.method or 'a call'} of /invocations/{{id}}"
    return Judgement(mode, given, said[0], f"{what}: {said[1]}")


_Said = tuple[Confidence, str]


def _below_another_path(strong: re.Match[str] | None, mode: str | None) -> _Said | None:
    if strong:
        return Confidence.LIKELY, f"{_sign(strong)}, but below another path"
    return (Confidence.POSSIBLE, f"mode={mode}, but below another path") if mode else None


def _without_method(mode: str | None, *, restate: bool) -> _Said | None:
    if mode:
        return Confidence.LIKELY, f"mode={mode}, no method in sight"
    return (Confidence.POSSIBLE, "no method in sight") if restate else None


def _by_lesser_signs(mode: str | None, *, admin: bool, restate: bool) -> _Said:
    if mode:
        return Confidence.CERTAIN, f"mode={mode}"
    if admin and restate:
        return Confidence.CERTAIN, "an admin API, in a file about Restate"
    if admin or restate:
        return Confidence.LIKELY, "an admin API" if admin else "in a file about Restate"
    return Confidence.POSSIBLE, "without a sign of Restate"


def route(url: str) -> tuple[str, str] | None:
    """Return what stands before the route's path in ``url`` and what behind it, or ``None``."""
    for found in _ROUTE.finditer(url):
        rest = found["rest"]
        name = found["id"]
        if rest == "/" and len(url) > found.end() and url[found.end()] not in "?#\"'` \n" + SEP:
            continue
        if rest == "/":
            # A trailing slash is another path: the server answers 404.
            continue
        if rest == SEP and url[found.end() :].strip("/") in MODES:
            continue
        if name.strip(".") == "" or name.startswith(("$metadata", "*")):
            continue
        start = found.end() - len(rest)
        return url[: found.start()], url[start:]
    return None


def is_raw_request(text: str) -> bool:
    """Tell whether a literal is a request as it goes over the wire: ``DELETE /invocations/…``."""
    return _VERB.match(text) is not None


def mode_in(text: str) -> str | None:
    """Return the one mode that ``text`` names, as ``DeletionMode.KILL`` does, or ``None``."""
    named = {word.lower() for word in _WORDS_OF_MODE.findall(text)}
    return named.pop() if len(named) == 1 else None


def _mode(call: Call, tail: str) -> tuple[str | None, bool, str]:
    """Return the mode, whether one is given, and what of it Restate refuses."""
    refused = _refused(_END_OF_QUERY.split(tail, maxsplit=1)[0])
    if refused:
        return None, True, refused
    found = _MODE.search(tail) or _MODE.search(SEP + tail.lstrip(SEP))
    if found:
        return _in_query(call, tail, found)
    at = call.url.count(HOLE, 0, len(call.url) - len(tail)) - 1
    if 0 <= at < len(call.holes) and "mode=" in call.holes[at]:
        # A query that is there, or not, or another.
        return None, True, ""
    for value in call.keyed:
        if HOLE in value:
            return mode_in(" ".join(call.holes)) if value == HOLE else mode_in(value), True, ""
        return _known(value)
    if call.open_query or (tail.startswith("?") and HOLE in tail):
        return None, False, ""
    if tail.startswith(HOLE) or call.url[: len(call.url) - len(tail)].endswith(HOLE + HOLE):
        # The last variable may be the query.
        return None, False, ""
    return "cancel", False, ""


def _refused(query: str) -> str:
    """Return what is wrong with a query in which the mode is given."""
    if len(_ONE_OF_MODES.findall(query)) > 1:
        return "mode given twice"
    return "mode without a value" if _BARE_MODE.search(query) else ""


def _in_query(call: Call, tail: str, found: re.Match[str]) -> tuple[str | None, bool, str]:
    value = found["mode"]
    spelled = _SPELLED.match(value)
    if spelled and (known := unquote_plus(spelled[0])) in _VARIANTS:
        return known.lower(), True, ""
    if value.startswith("{"):
        # A place that an argument fills.
        return mode_in(call.words), True, ""
    if HOLE in value or "{" in value or "$" in value or "%" in value or not value:
        at = call.url.count(HOLE, 0, len(call.url) - len(tail) + found.start("mode"))
        label = call.holes[at] if HOLE in value and at < len(call.holes) else value
        return mode_in(label), True, ""
    return None, True, f"mode={value[:20]!r}"


def _known(value: str) -> tuple[str | None, bool, str]:
    if value in _VARIANTS:
        return value.lower(), True, ""
    named = None if value.lower() in MODES else mode_in(value)
    return named, True, "" if named else f"mode={value[:20]!r}"


def _foreign(prefix: str) -> bool:
    """Tell whether a path has segments before ``invocations`` that are not Restate's."""
    token = _BETWEEN.split(prefix)[-1]
    _, scheme, rest = token.rpartition("://")
    segments = [one for one in _SLASHES.split(rest) if one]
    if segments and (scheme or not token.startswith(("/", SEP))) and _HOST.match(segments[0]):
        segments = segments[1:]
    return any(
        not _FILLED.search(one) and not _PLAIN_PREFIX.fullmatch(one) for one in segments[-2:]
    )


def _sign(found: re.Match[str]) -> str:
    return (
        "port 9070"
        if found[0] == "9070"
        else "an invocation id"
        if "inv_" in found[0]
        else "Restate by name"
    )
