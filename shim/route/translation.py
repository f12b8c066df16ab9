"""What a request means: the deprecated route, its replacement, and the reply its callers expect.

Everything here is a pure function over the bytes of the request line or of an answer, and the
rules are those that real servers 1.6.2 and 1.7.12 showed:

* axum matches the path as it was sent, undecoded; an id is one segment and stays as it is.
* ``mode`` is read by serde from the form-decoded query: six spellings, absent means cancel.
* An id that is not UTF-8 after percent-decoding is judged first, then the mode, then the id.
"""

from __future__ import annotations

import json
import re
from enum import StrEnum
from functools import cache
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from shim.route.text import printable

OLD_METHOD: Final = b"DELETE"
NEW_METHOD: Final = b"PATCH"


class Mode(StrEnum):
    """What to do with the invocation; also the last segment of the new endpoint."""

    CANCEL = "cancel"
    KILL = "kill"
    PURGE = "purge"


class Replies(StrEnum):
    """Whose answers a caller of the old route gets."""

    LEGACY = "legacy"
    DOCUMENTED = "documented"
    NATIVE = "native"


MODES: Final = {
    "Cancel": Mode.CANCEL,
    "cancel": Mode.CANCEL,
    "Kill": Mode.KILL,
    "kill": Mode.KILL,
    "Purge": Mode.PURGE,
    "purge": Mode.PURGE,
}

# What callers send as good as always: nothing to decode, and nothing else in it.
_PLAIN_QUERIES: Final[dict[bytes | None, str]] = {f"mode={name}".encode(): name for name in MODES}
# serde lists an enum's spellings in the order of their declaration.
_EXPECTED: Final = ", ".join(f"`{name}`" for name in MODES)
_QUERY_ERROR: Final = "Failed to deserialize query string: "
_NOT_UTF8: Final = "Invalid URL: Invalid UTF-8 in `invocation_id`"

# /v1 answers 400 for any path, these too.
_VERSION: Final = rb"(?:/(?!v1/)(v[0-9]+))?"
_OLD_ROUTE: Final = re.compile(_VERSION + rb"/invocations/([^/]+)")
_NEW_ROUTE: Final = re.compile(_VERSION + rb"/invocations/[^/]+/(cancel|kill|purge)")
_BATCH: Final = re.compile(
    _VERSION + rb"/internal/invocations_batch_operations/(cancel|kill|purge)"
)
# Requests as probes and scrapers send them, up to the white space behind their target.
_PROBE: Final = re.compile(
    rb"(?:(?:GET|HEAD|OPTIONS) (?:/v[0-9]+)?/(?:healthz?|readyz?|livez?|ping|metrics)"
    rb"|(?:HEAD|OPTIONS) /)(?:[?#][^ ]*)? "
)
_ROOT: Final = re.compile(rb"GET (?:/v[0-9]+)?/(?:version)?(?:[?#][^ ]*)? ")
_PROBERS: Final = re.compile(
    rb"kube-probe/|ELB-HealthChecker|GoogleHC/|Blackbox Exporter|blackbox_exporter|Prometheus/"
    rb"|Consul Health Check|Uptime-Kuma/|HAProxy-Check"
)
_LOOKED_AT: Final = 2000
_READS: Final = frozenset((b"GET", b"HEAD"))


class OldCall(NamedTuple):
    """``DELETE /invocations/{id}``: what it asks for, and the call that replaces it.

    ``problem`` is the text of the 400 that the old route answers, or ``None``; ``mode`` is
    ``None`` exactly where the mode is the problem.
    """

    api_version: str | None
    invocation_id: bytes
    mode: Mode | None
    mode_given: str | None
    new_target: bytes
    problem: str | None

    @property
    def replacement(self) -> str:
        """The request line to send instead, without the HTTP version."""
        return f"PATCH {printable(self.new_target)}"


class NewCall(NamedTuple):
    """``PATCH /invocations/{id}/{mode}``, or a batch of such, by a caller that has migrated.

    A batch is ``POST /internal/invocations_batch_operations/{mode}``, since Restate 1.6.
    """

    mode: Mode


class Miss(NamedTuple):
    """A call beside both routes: ``kind`` for counting, ``hint`` for the person to tell."""

    kind: str
    hint: str


Meaning = OldCall | NewCall | Miss | None


class Beside(NamedTuple):
    """Calls beside both routes: of one of ``methods``, and with a path that fits ``pattern``.

    ``methods`` is ``None`` for all.  ``hint`` says what is meant; the names in it are groups.
    """

    pattern: re.Pattern[bytes]
    methods: frozenset[bytes] | None
    kind: str
    hint: str


_ROUTE: Final = rb"(?P<version>(?:/v[0-9]+)?)/invocations"
_ID: Final = rb"/(?P<id>[^/]+)"
_MODE: Final = rb"/(?P<mode>cancel|kill|purge)"
_ANY_MODE: Final = "{version}/invocations/{id}/cancel|kill|purge"
_DELETE: Final = frozenset((OLD_METHOD,))
_MEANT_TO_CHANGE: Final = frozenset((NEW_METHOD, b"POST", b"PUT"))
_WRITES: Final = _DELETE | _MEANT_TO_CHANGE

BESIDE: Final = (
    Beside(
        re.compile(rb"/v1(?P<rest>/invocations?/.+)"),
        None,
        "removed_version",
        "/v1 answers 400 for any path: leave it out ({rest})",
    ),
    Beside(
        re.compile(_ROUTE + _ID + _MODE),
        None,
        "wrong_method",
        "use PATCH {version}/invocations/{id}/{mode}",
    ),
    Beside(
        re.compile(_ROUTE + _ID + rb"/[^/].*"),
        _DELETE,
        "extra_segment",
        f"use PATCH {_ANY_MODE}",
    ),
    Beside(
        re.compile(_ROUTE + _ID + rb"/(?i:cancel|kill|purge)"),
        _MEANT_TO_CHANGE,
        "mode_spelling",
        f"use PATCH {_ANY_MODE}, in lower case",
    ),
    Beside(
        re.compile(_ROUTE + _ID),
        _MEANT_TO_CHANGE,
        "no_mode_segment",
        f"use PATCH {_ANY_MODE}: the mode is a segment of the path",
    ),
    Beside(
        re.compile(_ROUTE + _ID + rb"(?:" + _MODE + rb")?/"),
        _WRITES,
        "trailing_slash",
        f"use PATCH {_ANY_MODE}, without a slash at the end",
    ),
    Beside(
        re.compile(_ROUTE + rb"/?"),
        _DELETE,
        "no_id",
        "use PATCH {version}/invocations/ID/cancel|kill|purge: it takes the id of one invocation",
    ),
    Beside(
        re.compile(rb"(?P<version>(?:/v[0-9]+)?)/restate/invocations?" + _ID + rb"(?:/.*)?"),
        _WRITES,
        "wrong_prefix",
        f"use PATCH {_ANY_MODE}: /restate is not of the admin API",
    ),
    Beside(
        # All else is as in the routes.
        re.compile(
            rb"(?=.*//)/+(?:v[0-9]+/+)?invocations/+(?P<id>[^/]+)"
            rb"(?:/+(?:cancel|kill|purge))?/*"
        ),
        _WRITES,
        "double_slash",
        "use PATCH /invocations/{id}/cancel|kill|purge, with single slashes",
    ),
    Beside(
        re.compile(rb"(?P<version>(?:/v[0-9]+)?)/invocation" + _ID + rb"(?:/[^/]*)?"),
        _WRITES,
        "singular",
        f"use PATCH {_ANY_MODE}: the path says invocations",
    ),
)
"""Plausible mistakes.  The first that fits counts; reading what is there is none (the web UI)."""


def interpret(method: bytes, target: bytes) -> Meaning:
    """Say what ``method`` and the origin-form ``target`` mean; ``None`` is not our concern."""
    if method in _READS or b"/invocation" not in target:
        return None
    path, query = split_target(target)
    if method == OLD_METHOD and (route := _OLD_ROUTE.fullmatch(path)):
        version, invocation_id = route.groups()
        return _old_call(path, version, invocation_id, query)
    route = _NEW_ROUTE.fullmatch(path) if method == NEW_METHOD else None
    if method == b"POST":
        route = _BATCH.fullmatch(path)
    if route is not None:
        return NewCall(Mode(route[2].decode()))
    for beside in BESIDE:
        if beside.methods is not None and method not in beside.methods:
            continue
        if found := beside.pattern.fullmatch(path):
            groups = {name: printable(part or b"") for name, part in found.groupdict().items()}
            return Miss(beside.kind, beside.hint.format_map(groups))
    return None


def is_probe(request: bytes) -> bool:
    """Tell a health check or a scrape from all else, by how the request's head begins.

    People and programs ask for ``/`` and ``/version`` too: there the ``User-Agent`` tells.
    """
    if _PROBE.match(request):
        return True
    return _ROOT.match(request) is not None and _PROBERS.search(request, 0, _LOOKED_AT) is not None


def may_concern_us(request: bytes) -> bool:
    """Tell quickly whether :func:`interpret` is to be asked about a request's first line at all.

    What is behind that line may name invocations too: queries and referrers do.
    """
    return request.find(b"nvocation", 0, request.find(b"\r\n")) >= 0


def near_miss_of(call: OldCall) -> Miss | None:
    """Return the near miss that an old call with an unusable mode is at the same time."""
    if call.problem is None or call.mode is not None:
        return None
    return Miss("bad_mode", f"{call.replacement}, with cancel, kill or purge")


def split_target(target: bytes) -> tuple[bytes, bytes | None]:
    """Split an origin-form target into raw path and raw query, as the ``http`` crate does."""
    path, mark, query = target.partition(b"#")[0].partition(b"?")
    return path, query if mark else None


def parse_mode(query: bytes | None) -> tuple[Mode | None, str | None, str | None]:
    """Read the mode as serde does: the mode, the spelling given, and the 400's text if it is bad.

    Source: ``serde_urlencoded`` over ``form_urlencoded``: pairs end at ``&`` alone, names and
    values are percent-decoded with ``+`` as a space and invalid UTF-8 replaced.
    """
    given = _PLAIN_QUERIES.get(query)
    if given is not None:
        return MODES[given], given, None
    for pair in (query or b"").split(b"&"):
        if not pair:
            continue
        name, _, value = pair.partition(b"=")
        if _form_decode(name) != "mode":
            continue
        if given is not None:
            return None, given, f"{_QUERY_ERROR}duplicate field `mode`"
        given = _form_decode(value)
        if given not in MODES:
            problem = f"{_QUERY_ERROR}mode: unknown variant `{given}`, expected one of {_EXPECTED}"
            return None, given, problem
    return (MODES[given] if given is not None else Mode.CANCEL), given, None


def redact_target(target: bytes) -> str:
    """Return ``target`` for the record: no value of a query parameter but ``mode`` survives."""
    path, query = split_target(target)
    if query is None:
        return printable(path)
    if query in _PLAIN_QUERIES:
        return printable(path + b"?" + query)
    kept = []
    for pair in query.split(b"&"):
        name, equals, _ = pair.partition(b"=")
        if _form_decode(name) == "mode":
            kept.append(pair)
        elif equals:
            kept.append(name + b"=")
    return printable(path + b"?" + b"&".join(kept))


class Reply(NamedTuple):
    """What the caller gets for upstream's answer: a status, with or without upstream's body."""

    status: int
    with_body: bool
    masked: bool


@cache
def map_reply(replies: Replies, status: int) -> Reply:
    """Map the ``status`` of a new endpoint's answer to the reply that the caller gets.

    400, 429 and 5xx pass as they are, as does whatever nobody has seen yet.  The answer must have
    come from a handler: see :func:`reached_handler`.
    """
    as_it_is = Reply(status, with_body=True, masked=False)
    if replies is Replies.NATIVE:
        return as_it_is
    if status in (200, 202):
        return Reply(202, with_body=False, masked=False)
    if replies is Replies.LEGACY and status in (404, 409):
        return Reply(202, with_body=False, masked=True)
    return as_it_is


def reached_handler(status: int, body: bytes) -> bool:
    """Tell a handler's answer from the router's: a 404 or 405 of the router has no JSON error.

    Source: Restate's one error shape, ``{"message": string, "restate_code": string|null}``; a
    server before 1.4 has no new endpoints and its router answers with an empty body.
    """
    if status not in (404, 405):
        return True
    try:
        error = json.loads(body)
    except ValueError:
        return False
    return isinstance(error, dict) and isinstance(error.get("message"), str)


def reached_new_endpoint(status: int, content_type: bytes | None) -> bool:
    """Tell whether a handler took a call that somebody made to a new endpoint by itself.

    It worked, or the invocation is not there (404) or not in a state for it (409).  A router's 404
    has no JSON; all else says nothing of whether the call would do without the old route.
    """
    if status == 404:
        return content_type is not None and content_type.lower().startswith(b"application/json")
    return 200 <= status < 300 or status == 409


def error_body(message: str) -> bytes:
    """Return an error in Restate's shape, as JSON bytes."""
    error = {"message": message, "restate_code": None}
    return json.dumps(error, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _old_call(
    path: bytes, version: bytes | None, invocation_id: bytes, query: bytes | None
) -> OldCall:
    mode, given, problem = parse_mode(query)
    raw_id = unquote_to_bytes(invocation_id) if b"%" in invocation_id else invocation_id
    if not _is_utf8(raw_id):
        problem = _NOT_UTF8
    return OldCall(
        api_version=version.decode() if version else None,
        invocation_id=invocation_id,
        mode=mode,
        mode_given=given,
        new_target=path + b"/" + (mode or Mode.CANCEL).encode(),
        problem=problem,
    )


def _form_decode(raw: bytes) -> str:
    return unquote_to_bytes(raw.replace(b"+", b" ")).decode("utf-8", "replace")


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True
