"""Whether a call is the old one, and how sure that is: the one place where this is decided.

The readers of languages bring each call to one form, :class:`Call`: its method where that is known,
and its URL with ``HOLE`` where a value is not known and ``SEP`` between what is put together by
a function.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_plus

from shim.scan.finding import MODES, Confidence

HOLE: Final = "\x00"
SEP: Final = "\x01"
MAYBE: Final = "\x02"
"""In the label of a hole: before what it may be, by a default or in one of several branches."""
# A template's own placeholders stand for a value too.
_PLACE: Final = r"\{[^{}/?\x01]{0,80}\}"

# The collection, one segment behind it, and then the end of the path.
_ROUTE: Final = re.compile(
    rf"(?:(?<=[/{SEP}{HOLE}}}\)'\"=\s])|^)invocations(?:/|{SEP}/?)"
    rf"(?P<id>(?:{_PLACE}|[^/?#\s\"'`{SEP}<>\\,;|]|<[^<>/\s]{{1,40}}>){{1,300}})(?P<rest>.?)",
    re.DOTALL,
)
_MODE: Final = re.compile(r"(?:^|[?&\x01\s\"'{])mode=(?!=)(?P<mode>[^&#\s\"'`\x01\\)|;<]{0,80})")
# A mode without a value, or one that a template puts in: {?mode}.
_BARE: Final = re.compile(r"[?&]mode(?P<template>\*?\})?(?=[&#\s\"'`\x01]|$|(?<=\}))")
_TOKEN: Final = re.compile(r"[\s\"'`#\x01]")
# Behind the id there may be a query: `${id}${query}`.
_ADDED: Final = re.compile(r"[}\x00](?:\x00|\{[^{}]{0,80}\})$")
_SPELLINGS: Final = frozenset({*MODES, *(mode.capitalize() for mode in MODES)})
"""The modes as a server takes them; it answers 400 to any other."""
_NAMES_ONLY: Final = re.compile(r"[\w.:$@&*>()\s!\x00-]*")
# A name with the one before it: Mode.kill, DeletionMode::Kill; a symbol, :kill.
_NAME: Final = re.compile(
    r"(?:(?<![\w.])(?P<owner>\w{1,60})(?:\.|::|->))?(?P<name>(?<![\w:]):\w{1,60}|\w{1,60})"
)
_CHOOSES: Final = re.compile(r"\b(?:if|else|or|and|unless|when|match|switch)\b")
_VERB: Final = re.compile(r"^\s{0,20}(?:DELETE)\s{1,9}\S{0,300}invocations/")
_PLAIN_PREFIX: Final = re.compile(r"(?i)v\d{1,3}|restate[\w.-]{0,40}|admin[\w.-]{0,40}|api|proxy")
_FILLED: Final = re.compile(rf"[{{}}$%<>()={HOLE}]")
_SLASHES: Final = re.compile(rf"[/{SEP}]")
_BETWEEN: Final = re.compile(r"[\s\"'`]")
_HOST: Final = re.compile(r"(?:[^/\s@]{1,200}@)?[\w.-]{1,200}(?::\d{1,5})?$")
_WORDS_OF_MODE: Final = re.compile(
    r"(?i)(?:^|[^a-z]|(?<=[a-z])(?=[CKP]))(cancel|kill|purge)(?![a-z])"
)
_STATED: Final = re.compile(r"(?i)\bmode\W{1,8}(?:value\W{1,8})?(?P<mode>cancel|kill|purge)\b")
_RESTATE: Final = re.compile(
    r"(?:(?<![A-Za-z])(?:restate|RESTATE)|Restate)(?!ment|s\b|d\b)|(?<!\d)9070(?!\d)|\binv_[0-9a-zA-Z]{4}"
)
_ADMIN: Final = re.compile(
    r"(?:(?<![A-Za-z])(?:admin|Admin|ADMIN)|(?<=[a-z])Admin)"
    r"(?:url|uri|api|base|host|port|addr|client|endpoint)?(?![a-z])"
)
_OTHERS: Final = re.compile(
    r"(?i)openwhisk|amazonaws|sagemaker|bedrock|lambda|/functions/|flink|/namespaces/"
)


def spelled(text: str, holes: tuple[str, ...]) -> str:
    """Return a text, or ``HOLE`` and the labels of what is not known where it is not all known."""
    return HOLE + " ".join((*holes, text)) if holes else text


@dataclass(frozen=True, slots=True)
class Call:
    """A call as it is read.

    ``method`` is in capitals, or ``None`` where it cannot be told.  ``keyed`` is what is passed as
    the parameter ``mode``: text, with ``HOLE`` where it is not known.  ``words`` is what else
    stands in the call: names of variables, other literals.  ``arguments`` is what it is given, each
    by itself.  ``open_query`` says that there may be parameters which are not known.
    """

    method: str | None
    url: str
    holes: tuple[str, ...] = ()
    keyed: tuple[str, ...] = ()
    words: str = ""
    arguments: tuple[str, ...] = ()
    open_query: bool = False


@dataclass(frozen=True, slots=True)
class _Mode:
    """What is known of a call's mode.

    ``name`` is it, where it can be told, and ``given`` whether the call gives one.  ``said`` is
    what is said of it, and ``is_sign`` that it speaks for Restate.
    """

    name: str | None
    given: bool = True
    said: str = ""
    is_sign: bool = False


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
    mode = _mode(call, tail)
    everything = f"{call.url} {' '.join(call.holes)} {call.words}"
    strong = _RESTATE.search(everything)
    if _OTHERS.search(everything) and not strong:
        return None
    if _foreign(prefix):
        said = _below_another_path(strong, mode)
    elif call.method is None:
        said = _without_method(mode, restate=restate or strong is not None)
    elif strong:
        said = Confidence.CERTAIN, _sign(strong)
    else:
        admin = _ADMIN.search(everything) is not None
        said = _by_lesser_signs(mode, admin=admin, restate=restate)
    if said is None:
        return None
    reason = f"{call.method or 'a call'} of /invocations/{{id}}: {said[1]}"
    if mode.name is None and mode.said and mode.said not in reason:
        reason += f", {mode.said}"
    return Judgement(mode.name, mode.given, said[0], reason)


_Said = tuple[Confidence, str]


def _below_another_path(strong: re.Match[str] | None, mode: _Mode) -> _Said | None:
    if strong:
        return Confidence.LIKELY, f"{_sign(strong)}, but below another path"
    return (Confidence.POSSIBLE, f"{mode.said}, but below another path") if mode.is_sign else None


def _without_method(mode: _Mode, *, restate: bool) -> _Said | None:
    if mode.is_sign:
        return Confidence.LIKELY, f"{mode.said}, no method in sight"
    return (Confidence.POSSIBLE, "no method in sight") if restate else None


def _by_lesser_signs(mode: _Mode, *, admin: bool, restate: bool) -> _Said:
    if mode.is_sign:
        return Confidence.CERTAIN, mode.said
    if mode.said:
        return Confidence.LIKELY if restate else Confidence.POSSIBLE, mode.said
    if admin and restate:
        return Confidence.CERTAIN, "an admin API, in a file about Restate"
    if admin or restate:
        return Confidence.LIKELY, "an admin API" if admin else "in a file about Restate"
    if mode.given:
        return Confidence.LIKELY, "a mode that is not known"
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


def is_of_one(url: str) -> bool:
    """Tell whether a URL is put together of an invocation's id, as no server's pattern is."""
    return any(HOLE in found["id"] for found in _ROUTE.finditer(url))


def is_raw_request(text: str) -> bool:
    """Tell whether a literal is a request as it goes over the wire: ``DELETE /invocations/…``."""
    return _VERB.match(text) is not None


def mode_in(text: str) -> str | None:
    """Return the one mode that ``text`` names, as ``DeletionMode.KILL`` does, or ``None``."""
    named = {word.lower() for word in _WORDS_OF_MODE.findall(text)}
    return named.pop() if len(named) == 1 else None


def mode_stated_in(near: str) -> str | None:
    """Return the mode that the lines around a URL give: cancel unless they may give another."""
    stated = {found["mode"].lower() for found in _STATED.finditer(near)}
    if len(stated) == 1:
        return stated.pop()
    may_be_given = stated or "mode" in near.lower() or _WORDS_OF_MODE.search(near)
    return None if may_be_given else "cancel"


def _mode(call: Call, tail: str) -> _Mode:
    """Return what the URL says of the mode, or else the parameters."""
    query = _TOKEN.split(tail, maxsplit=1)[0]
    bare = _BARE.search(query)
    if bare is not None and bare["template"]:
        return _Mode(None)
    found = _MODE.search(tail) or _MODE.search(SEP + tail.lstrip(SEP))
    given = [_one_of(value) for value in call.keyed]
    if found is not None:
        given.insert(0, _in_the_url(call, tail, found))
    names = {one.name for one in given}
    times = len(_MODE.findall(query)) + (bare is not None)
    if times > 1 or (found is not None and len(names) > 1):
        said = "two modes, which Restate refuses (400)"
        return _Mode(None, said=said, is_sign=names != {None})
    if bare is not None:
        return _Mode(None, said="a mode without a value, which Restate refuses (400)")
    before = call.url[: len(call.url) - len(tail)]
    at = before.count(HOLE) - 1
    if found is None and 0 <= at < len(call.holes) and "mode=" in call.holes[at]:
        # A query that is there, or not, or another.
        return _choice(call.holes[at])
    if given:
        return given[0] if len(names) == 1 else _Mode(None)
    if call.open_query or (tail.startswith("?") and HOLE in tail) or _ADDED.search(before[-100:]):
        return _Mode(None, given=False)
    return _Mode("cancel", given=False)


def mode_among(values: Iterable[str]) -> str | None:
    """Return the one mode that is among values, each as it is spelled, or ``None``."""
    given = [_one_of(value) for value in values]
    names = {one.name for one in given if one.name is not None}
    is_told = len(names) == 1 and not any(one.is_sign and one.name is None for one in given)
    return names.pop() if is_told else None


def _in_the_url(call: Call, tail: str, found: re.Match[str]) -> _Mode:
    value = found["mode"]
    if value.startswith("{"):
        # A place that an argument fills.
        filling = mode_among(call.arguments)
        return _one_of(filling) if filling else _Mode(None)
    if HOLE in value:
        at = call.url.count(HOLE, 0, len(call.url) - len(tail) + found.start("mode"))
        return _one_of(HOLE + call.holes[at] if at < len(call.holes) else HOLE)
    value = unquote_plus(value)
    return _one_of(HOLE + value if not value or "$" in value or "%" in value else value)


def _one_of(value: str) -> _Mode:
    """Return the mode that a value is: text, or what follows ``HOLE`` where it is not known."""
    if HOLE not in value:
        if value in _SPELLINGS:
            return _Mode(value.lower(), said=f"mode={value.lower()}", is_sign=True)
        said = f"mode={value[:20]!r}, which Restate refuses (400)"
        return _Mode(None, said=said, is_sign=mode_in(value) is not None)
    if MAYBE not in value and _NAMES_ONLY.fullmatch(value) and not _CHOOSES.search(value):
        names = set(_constants_in(value))
        if len(names) == 1:
            name = names.pop()
            return _Mode(name, said=f"mode={name}", is_sign=True)
    return _choice(value)


def _constants_in(label: str) -> Iterator[str]:
    """Return the modes that a label names as constants: ``Mode.kill``, ``MODE_KILL``, ``:kill``.

    A variable's name is no constant: what ``kill_mode`` holds is not known.
    """
    for found in _NAME.finditer(label):
        owner, name = found["owner"] or "", found["name"]
        if name[0].isupper() or name[0] == ":" or (name in MODES and owner[:1].isupper()):
            mode = mode_in(name)
            if mode is not None:
                yield mode


def _choice(label: str) -> _Mode:
    """Return a mode that is one or another of those in a label, or one unless told otherwise."""
    names = sorted({word.lower() for word in _WORDS_OF_MODE.findall(label)})
    unless = " unless told otherwise" if len(names) == 1 else ""
    said = f"mode={' or '.join(names)}{unless}" if names else ""
    return _Mode(None, said=said, is_sign=bool(names))


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
