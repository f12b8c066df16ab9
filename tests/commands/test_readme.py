"""Every command that README prints is run here, or in the test that is named beside it."""

from __future__ import annotations

import json
import re
import shlex
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from shim.commands.arguments import make_parser
from tests.commands import test_demo
from tests.commands.making import Tree
from tests.commands.terminal import watching
from tests.support.ledger_records import a_use, append, kept, now, running
from tests.support.origin import Connection, Origin, Received, answer, reply
from tests.support.paths import ROOT
from tests.support.running import restate_shim
from tests.support.tools import run, tool

_README: Final = (ROOT / "README.md").read_text()
_TEST: Final = "make test"
_RUN: Final = "make run UPSTREAM=http://host:9070"
_CHECK: Final = "restate-shim check --upstream http://127.0.0.1:9070"
_REPORT: Final = "restate-shim report --fail-if-used-within 14d"
_INSTALL: Final = "pip install '.[scan]'"
_SCAN: Final = "restate-shim scan PATH…"
_ELSEWHERE: Final = {
    "make demo": test_demo.test_ctrl_c_ends_it_without_an_error_and_with_nothing_left
}


def _lines() -> Iterator[str]:
    """The lines that are indented as commands are, without what is behind a `#`."""
    prose = re.sub(r"^```.*?^```$", "", _README, flags=re.MULTILINE | re.DOTALL)
    for block in re.findall(r"(?<=\n\n)(?: {4}.*\n)+", prose):
        for line in block.splitlines():
            yield re.sub(r"\s+#.*", "", line).strip()


def _spans(program: str) -> list[str]:
    """The commands of one program that stand in sentences."""
    return sorted(set(re.findall(rf"`({program} [^`]+)`", _README.replace("\n", " "))))


@pytest.fixture
def origin() -> Iterator[Origin]:
    pages = {
        b"/version": {"version": "1.7.12"},
        b"/openapi": {"paths": {"/invocations/{invocation_id}": {"delete": {}}}},
    }

    def script(connection: Connection, received: Received) -> None:
        page = json.dumps(pages.get(received.target, {})).encode()
        reply(answer(200, page, b"Content-Type: application/json"))(connection, received)

    origin = Origin()
    origin.script = script
    yield origin
    origin.refuse()


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    tool("make", "Debian make")
    return Tree(tmp_path)


def test_every_command_is_run() -> None:
    assert set(_lines()) == {_TEST, _RUN, _CHECK, _REPORT, _INSTALL, _SCAN, *_ELSEWHERE}


def test_of_testing(tree: Tree) -> None:
    said = tree.make(
        *shlex.split(_TEST)[1:], PYTEST_ADDOPTS="-p no:cacheprovider tests/test_moments.py"
    )
    assert re.search(r"\d+ passed", said)


def test_of_running(tree: Tree, origin: Origin) -> None:
    _, *words = (word.replace("http://host:9070", origin.url) for word in shlex.split(_RUN))
    places = {"SHIM_LISTEN": "127.0.0.1:0", "SHIM_OPS_LISTEN": "127.0.0.1:0"}
    env = tree.environment(**places)
    with watching(tree.command(*words), tree.folder, env) as shim:
        shim.await_text("listening", 30)
        shim.press_ctrl_c()
        assert shim.wait() in (0, -signal.SIGINT)
    assert "Error" not in shim.said
    assert not any("[" in line for line in tree.asked()), "no extra is needed"


def test_of_checking(origin: Origin) -> None:
    _, *words = (word.replace("http://127.0.0.1:9070", origin.url) for word in shlex.split(_CHECK))
    done = restate_shim(*words)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{origin.url}: Restate 1.7.12\n")


async def test_of_reporting(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.db"
    async with running(ledger) as writing:
        assert await append(writing, a_use(timestamp=now()))
        await kept(writing)
    done = restate_shim(*shlex.split(_REPORT)[1:], SHIM_LEDGER=str(ledger))
    assert done.returncode == 3, done.stderr


@pytest.mark.deploy  # builds the package, for which pip gets what builds it
@pytest.mark.parametrize("words", [".", ".[demo]", ".[fleet]", ".[scan]"])
def test_of_installing(words: str) -> None:
    assert words in (".", ".[scan]") or f"`'{words}'`" in _README
    _, *command = (words if word == ".[scan]" else word for word in shlex.split(_INSTALL))
    said = run(sys.executable, "-m", "pip", *command, "--dry-run", "--no-deps", timeout=110)
    assert "does not provide the extra" not in said
    assert "Would install restate-shim-" in said or "already" in said


def test_of_scanning(tmp_path: Path) -> None:
    (tmp_path / "a.sh").write_text('curl -X DELETE "$ADMIN/invocations/$1?mode=kill"\n')
    _, *words = (str(tmp_path) if word == "PATH…" else word for word in shlex.split(_SCAN))
    done = restate_shim(*words)
    assert done.returncode == 3, done.stderr


@pytest.mark.parametrize("command", _spans("restate-shim"))
def test_a_command_in_a_sentence_is_one(command: str) -> None:
    # `…` stands for more; a name in capitals for what its reader puts there.
    words = [word for word in shlex.split(command)[1:] if word != "…"]
    if words == ["import"]:
        words.append("shim.log")
    if words != ["serve", "--help"]:
        make_parser().parse_args(words)


@pytest.mark.parametrize("command", _spans("make"))
def test_a_target_in_a_sentence_is_one(command: str, tree: Tree) -> None:
    tree.make(*shlex.split(command)[1:], "--dry-run")


@pytest.mark.parametrize("command", [*_spans("pip"), *_spans("pipx")])
def test_an_installation_in_a_sentence_is_of_the_checkout(command: str) -> None:
    assert re.fullmatch(r"pipx? install ('\.\[scan\]'|\.)", command)


@pytest.mark.parametrize(
    ("page", "word", "explained"),
    [
        ("README.md", "masked", "told 202 where"),
        ("README.md", "near miss", "means one of the two routes and hits neither"),
        ("README.md", "fleet", "one record of several shims"),
        ("README.md", "xfcc", "Envoy's `X-Forwarded-Client-Cert`"),
        ("deploy/README.md", "near miss", "mean the new endpoints and miss them"),
        ("deploy/README.md", "xfcc", "X-Forwarded-Client-Cert"),
    ],
)
def test_a_word_is_explained_where_it_first_stands(page: str, word: str, explained: str) -> None:
    text = " ".join((ROOT / page).read_text().split())
    first = text.lower().index(word)
    assert abs(text.index(explained) - first) < 250


def test_the_help_of_serve_explains_xfcc() -> None:
    said = " ".join(restate_shim("serve", "--help").stdout.split())
    assert "xfcc is the client certificate that Envoy names" in said
