"""gunicorn's corpus of raw requests, judged by RFC 9112 and by what a gateway must do.

The files are not copied: `GUNICORN_REQUESTS` names a folder with `valid/` and `invalid/`, or the
source distribution is fetched by pip into pytest's cache.  Most cases lack a Host, which for
HTTP/1.1 decides them before their own matter does: such a case is also sent with a Host put in,
and judged by `EXPECTED`, which says why wherever the judgement differs from gunicorn's.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.support.client import Answer, Client
from tests.support.message import SilentError
from tests.support.origin import Origin
from tests.support.paths import ROOT
from tests.support.running import Shim
from tests.support.wanting import missing

VERSION = "27.0.1"
ACCEPT, REFUSE, EITHER = "accept", "refuse", "either"

EXPECTED = {
    # of gunicorn's own limits, settings and protocols, not of HTTP
    "invalid/003c": (ACCEPT, "-bl is a token, thus a method"),
    "invalid/006": (ACCEPT, "a long target; ours are limited at 64 KiB"),
    "invalid/007": (ACCEPT, "a long field"),
    "invalid/008": (ACCEPT, "long fields"),
    "invalid/009": (ACCEPT, "many fields"),
    "invalid/010": (ACCEPT, "limit of zero fields in its configuration"),
    "invalid/011": (EITHER, "Host: 0.0.0.0=5000 is a reg-name by grammar, oddly"),
    "invalid/012": (EITHER, "the same"),
    "invalid/017": (ACCEPT, "a long field"),
    "invalid/019": (ACCEPT, "contradicting X-Forwarded fields"),
    "invalid/040": (ACCEPT, "underscores are token characters; they name other fields"),
    "invalid/041": (ACCEPT, "two Content-Types frame nothing; upstream's matter"),
    "invalid/chunked_07": (ACCEPT, "Transfer_Encoding is another field"),
    "invalid/chunked_09": (EITHER, "blank after a chunk size: BWS by RFC 7230, none by 9112"),
    "invalid/limit_header_default_01": (EITHER, "how large it is decides"),
    "invalid/rfc9110_trailer_forbidden_cl_01": (EITHER, "trailers may be dropped"),
    "invalid/rfc9110_trailer_forbidden_host_01": (EITHER, "trailers may be dropped"),
    "invalid/rfc9110_trailer_forbidden_te_01": (EITHER, "trailers may be dropped"),
    "invalid/rfc9112_leading_crlf_02": (EITHER, "at least one empty line is ignored; two may be"),
    "invalid/rfc9112_target_non_ascii_01": (ACCEPT, "targets pass byte for byte"),
    "invalid/rfc9112_target_non_ascii_02": (ACCEPT, "targets pass byte for byte"),
    "invalid/001": (EITHER, "ends before its head does"),
    "invalid/rfc9112_chunked_missing_final_crlf_01": (EITHER, "ends before its body does"),
    # accepted by gunicorn, by a setting or on principle
    "valid/002": (EITHER, "Host: 0.0.0.0=5000"),
    "valid/003": (EITHER, "Host: 0.0.0.0=5000"),
    "valid/025": (EITHER, "a coding the gateway cannot undo: it may answer 4xx or 501"),
    "valid/025_line": (EITHER, "the same"),
    "valid/099": (EITHER, "its body is shorter than its length"),
    "valid/013": (EITHER, "blank around a semicolon: allowed, and nothing is lost by refusing"),
    "valid/028": (REFUSE, "blank before the colon, RFC 9112 section 5.1"),
    "valid/029": (EITHER, "identity is no coding any more"),
    "valid/030": (EITHER, "the same"),
    "valid/compat_obs_fold": (REFUSE, "folded, RFC 9112 section 5.2"),
    "valid/compat_obs_fold_huge": (REFUSE, "folded, RFC 9112 section 5.2"),
    "valid/pp_01": (REFUSE, "the PROXY protocol is not spoken here"),
    "valid/pp_02": (REFUSE, "the PROXY protocol is not spoken here"),
    "valid/pp_04": (REFUSE, "the PROXY protocol is not spoken here"),
    "valid/pp_05": (REFUSE, "the PROXY protocol is not spoken here"),
    "valid/rfc9112_smuggle_gzip_chunked_01": (EITHER, "a coding the gateway cannot undo"),
    "valid/rfc9112_smuggle_te_identity_chunked_01": (EITHER, "identity is no coding any more"),
    "valid/rfc9112_target_absolute_userinfo_01": (EITHER, "RFC 9110 section 4.2.4: an error"),
    "valid/rfc9112_target_authority_connect_01": (REFUSE, "CONNECT is not for a gateway"),
    "valid/rfc9112_target_authority_ipv6_01": (REFUSE, "CONNECT is not for a gateway"),
}


def folder() -> Path:
    """Where the corpus is, fetched when it is nowhere yet."""
    given = os.environ.get("GUNICORN_REQUESTS")
    if given:
        return Path(given)
    cache = ROOT / ".pytest_cache" / "corpus"
    requests = cache / f"gunicorn-{VERSION}" / "tests" / "requests"
    if not requests.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:",
             "-d", str(cache), f"gunicorn=={VERSION}"],
            check=True, capture_output=True, timeout=60,
        )  # fmt: skip
        with tarfile.open(cache / f"gunicorn-{VERSION}.tar.gz") as archive:
            archive.extractall(cache, filter="data")
    return requests


def load(path: Path) -> bytes:
    """The bytes of a case, written there with escapes and free line breaks."""
    data = path.read_bytes().replace(b"\n", b"")
    for escape, byte in ((b"\\r\\n", b"\r\n"), (b"\\0", b"\0"), (b"\\n", b"\n"), (b"\\t", b"\t")):
        data = data.replace(escape, byte)
    return re.sub(rb"\\x([0-9A-Fa-f]{2})", lambda match: bytes([int(match[1], 16)]), data)


def with_hosts(data: bytes) -> bytes:
    """`data` with a Host in each HTTP/1.1 head that has none."""

    def put(match: re.Match[bytes]) -> bytes:
        head = data[match.end() :].split(b"\r\n\r\n", 1)[0]
        return match[0] if re.search(rb"(?im)^host[ \t]*:", head) else match[0] + b"Host: a\r\n"

    return re.sub(rb"(?m)^[^\r\n]* HTTP/1\.1\r\n", put, data)


@pytest.fixture(scope="session")
def corpus() -> list[tuple[str, bytes]]:
    try:
        requests = folder()
    except (OSError, subprocess.SubprocessError) as error:
        missing(f"the corpus: {error}")
    paths = sorted(requests.glob("*valid/*.http"))
    return [(f"{path.parent.name}/{path.stem}", load(path)) for path in paths]


def talk(shim: Shim, data: bytes) -> list[Answer]:
    """Every answer to these bytes, the caller's side then half-closed."""
    answers: list[Answer] = []
    with Client(shim.proxy, deadline=1) as client:
        client.send_what_is_taken(data)
        try:
            while True:
                answers.append(client.read())
                if answers[-1].status >= 400:
                    break
                client.reader.deadline = 0.1
        except (EOFError, OSError, SilentError):
            pass  # it hung up, or waits for more, which is not coming
    return answers


def judge(name: str, data: bytes, shim: Shim, origin: Origin) -> str | None:
    """What is wrong with how `data` was taken; None when nothing is."""
    origin.forget()
    expected = EXPECTED.get(name, (ACCEPT if name.startswith("valid/") else REFUSE, ""))[0]
    answers = talk(shim, data)
    statuses = [got.status for got in answers]
    complete = [got.line for got in origin.requests if got.complete]
    refused = bool(statuses) and 400 <= statuses[-1] < 500
    if origin.errors:
        return f"sent upstream: {origin.errors}"
    if expected == ACCEPT and (not statuses or any(status != 200 for status in statuses)):
        return f"expected 200, got {statuses}"
    if expected == REFUSE and not refused:
        return f"expected 4xx, got {statuses}"
    if len(complete) > statuses.count(200):
        return f"upstream got {complete}, the caller {statuses}"
    return None


def test_the_corpus_is_judged_as_expected(
    corpus: list[tuple[str, bytes]], shim: Shim, origin: Origin
) -> None:
    """Every file, a Host put in where its absence would decide."""
    assert len(corpus) > 100
    wrong = {}
    for name, data in corpus:
        fault = judge(name, with_hosts(data), shim, origin)
        if fault:
            wrong[name] = fault
    assert not wrong, "\n".join(f"{name}: {fault}" for name, fault in wrong.items())


def test_the_corpus_without_hosts_never_reaches_upstream(
    corpus: list[tuple[str, bytes]], shim: Shim, origin: Origin
) -> None:
    """HTTP/1.1 without a Host is refused, whatever else it is."""
    wrong = {}
    for name, data in corpus:
        if with_hosts(data) == data or b" HTTP/1.1\r\n" not in data.split(b"\r\n\r\n")[0] + b"\r\n":
            continue
        origin.forget()
        statuses = [got.status for got in talk(shim, data)]
        if not statuses or not 400 <= statuses[-1] < 500 or any(s == 200 for s in statuses):
            wrong[name] = statuses
        if origin.requests:
            wrong[name] = [0, *statuses]
    assert not wrong, "\n".join(f"{name}: {fault}" for name, fault in wrong.items())
