"""Messages that two readers could understand differently: what the shim and its peers do with them.

`hostile.toml` holds them, with where it is written and why.  Where nginx, HAProxy or Envoy refuse
what the shim passes on it says why for each; what nobody has explained is a failure.  Where they
pass what the shim refuses, the reason is the message's own.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.bench.peers import PEERS, Peer
from tests.bench.programs import Cores
from tests.support.client import Client, request
from tests.support.hostile import PEERS as PEER_NAMES
from tests.support.hostile import Message, messages
from tests.support.message import MalformedError, SilentError
from tests.support.origin import Connection, Origin, Received, answer
from tests.support.running import Shim
from tests.support.wanting import missing

MESSAGES = messages()


class Outcome(NamedTuple):
    """How many requests upstream answered, and the status of a refusal, if there was one."""

    upstream: int
    refused: int | None

    def __str__(self) -> str:
        passed = f"{self.upstream} passed" if self.upstream else ""
        refused = f"{self.refused}" if self.refused else ""
        return ", then ".join(filter(None, (passed, refused))) or "no answer"


def mark(connection: Connection, received: Received) -> None:
    """Answer so that it can be told from what a proxy says itself."""
    connection.read_body(received)
    connection.send(answer(200, b"", b"X-Upstream: yes"))


def outcome(url: str, data: bytes) -> Outcome:
    passed = 0
    with Client(url, deadline=1) as client:
        client.send_what_is_taken(data)
        try:
            while True:
                got = client.read(data.split(b" ", 1)[0].decode("latin-1"))
                if got.header(b"x-upstream") is None:
                    return Outcome(passed, got.status)
                passed += 1
                client.reader.deadline = 0.1
        except (SilentError, EOFError, OSError, MalformedError):
            # Waiting for more, or at an end without a word.
            return Outcome(passed, None)


def test_each_is_there_once_and_says_why() -> None:
    assert len(MESSAGES) > 100
    assert len({one.name for one in MESSAGES}) == len({one.data for one in MESSAGES})
    for one in MESSAGES:
        assert one.why, one.name


@pytest.mark.parametrize("message", MESSAGES, ids=lambda one: one.name)
def test_the_shim_does_what_is_written(message: Message, shim: Shim, origin: Origin) -> None:
    """Passed as often as it says; a refusal reaches nobody, says so and ends the connection."""
    origin.script = mark
    found = outcome(shim.proxy, message.data)
    assert found.upstream == message.upstream
    if not message.upstream:
        assert found.refused is not None
        assert 400 <= found.refused < 500
        assert origin.heard == b""
        with Client(shim.proxy) as client:
            client.send_what_is_taken(message.data)
            client.read()
            assert client.closed()
    with Client(shim.proxy) as client:
        assert client.ask(request()).status == 200


def found_beside(peer: Peer, folder: Path) -> dict[str, Outcome]:
    wanting = peer.wanting()
    if wanting is not None:
        missing(wanting)
    folder.mkdir()
    origin = Origin()
    origin.script = mark
    try:
        with peer.start(int(origin.url.rpartition(":")[2]), folder, Cores.of_this_machine()) as on:
            return {one.name: outcome(f"http://127.0.0.1:{on.port}", one.data) for one in MESSAGES}
    finally:
        origin.close()


def test_every_difference_from_the_peers_is_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table is printed, so that it can be read beside the reasons."""
    peers = [peer for peer in PEERS if peer.name in PEER_NAMES]
    found = {peer.name: found_beside(peer, tmp_path / peer.name) for peer in peers}
    lines = [f"{len(MESSAGES)} messages; where peers do otherwise:"]
    unexplained = []
    for one in MESSAGES:
        others = {name: results[one.name] for name, results in found.items()}
        differing = [name for name, other in others.items() if other.upstream != one.upstream]
        laxer = [name for name in differing if others[name].upstream < one.upstream]
        unexplained += [f"{one.name}: {name}" for name in laxer if name not in one.beside]
        if differing:
            ours = f"{one.upstream} passed" if one.upstream else "refused"
            lines.append(f"{one.name}: {ours} ({one.section}: {one.why})")
            for name in differing:
                reason = one.beside.get(name, "unexplained") if name in laxer else "laxer"
                lines.append(f"    {name}: {others[name]}; {reason}")
    with capsys.disabled():
        sys.stdout.write("\n".join(["", *lines, ""]))
    assert not unexplained, unexplained
