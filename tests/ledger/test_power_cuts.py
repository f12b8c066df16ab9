"""What a power cut may leave: what was synced, and of all else any part.

The calls that a shim's ledger makes are recorded as it runs, is killed, begins anew and ends.  From
them, every state is made that a disk could be in when its power went: after any of the calls, with
nothing, all, or some blocks of what had not been synced by then.
"""

from __future__ import annotations

import codecs
import random
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pytest

from shim.ledger.errors import LedgerError
from shim.ledger.evidence import Kind
from shim.ledger.leftovers import read_told
from shim.ledger.reading import read_evidence, read_uses
from tests.support.ledger_records import running
from tests.support.tools import run, tool
from tests.support.waiting import until

LIFE = """
import asyncio, os, sys
from datetime import timedelta
from pathlib import Path
from tests.support.ledger_records import a_near_miss, a_use, append, kept, now, running

async def live(path, killed):
    async with running(path, heartbeat=timedelta(milliseconds=1)) as ledger:
        ledger.phase_changed("translate")
        for number in range(8):
            use = a_use(f"caller-{number}", now())
            if await append(ledger, use):
                os.write(1, f"told {use.id} {use.as_dict()['timestamp']};".encode())
            await append(ledger, a_near_miss("d", now()))
            if number % 3 == 2:
                await kept(ledger)
                os.write(1, b"kept;")
        if killed:
            os._exit(9)

asyncio.run(live(Path(sys.argv[1]), sys.argv[2] == "killed"))
"""
BLOCK = 512


@dataclass
class File:
    """A file as it is, and as much of it as is certain to be on the disk."""

    synced: bytes = b""
    writes: list[tuple[int, bytes] | int] = field(default_factory=list)

    def lost(self, chance: random.Random | None) -> bytes:
        """What is left of it: of what was not synced, the blocks that ``chance`` picks."""
        content = bytearray(self.synced)
        if chance is None:
            return self.synced
        for write in self.writes:
            if isinstance(write, int):
                if chance.random() < 0.5:
                    del content[write:]
                continue
            offset, data = write
            for start in range(0, len(data), BLOCK):
                if chance.random() < 0.5:
                    continue
                end = offset + start + len(data[start : start + BLOCK])
                content.extend(bytes(max(0, end - len(content))))
                content[offset + start : end] = data[start : start + BLOCK]
        return bytes(content)

    @property
    def whole(self) -> bytes:
        content = bytearray(self.synced)
        for write in self.writes:
            if isinstance(write, int):
                content = content[:write].ljust(write, b"\0")
            else:
                offset, data = write
                content.extend(bytes(max(0, offset + len(data) - len(content))))
                content[offset : offset + len(data)] = data
        return bytes(content)

    def sync(self) -> None:
        self.synced, self.writes = self.whole, []


@dataclass
class Disk:
    """A folder, its names as they are and as they are certain to be on the disk."""

    names: dict[str, File] = field(default_factory=dict)
    synced: dict[str, File] = field(default_factory=dict)

    def after(self, chance: random.Random | None, *, everything: bool = False) -> dict[str, bytes]:
        """The files that are there when the power is back."""
        if everything:
            return {name: file.whole for name, file in self.names.items()}
        names = dict(self.synced)
        changed = {
            name
            for name in (*self.names, *self.synced)
            if self.names.get(name) is not self.synced.get(name)
        }
        for name in sorted(changed):
            if chance is not None and chance.random() < 0.5:
                names.pop(name, None)
                if name in self.names:
                    names[name] = self.names[name]
        return {name: file.lost(chance) for name, file in names.items()}

    def take(self, call: str, name: str, rest: str) -> None:
        """Do what a call did."""
        file = self.names.get(name)
        if call == "openat":
            if file is None and "O_CREAT" in rest:
                self.names[name] = File()
            elif file is not None and "O_TRUNC" in rest:
                file.writes.append(0)
        elif call in ("unlink", "unlinkat"):
            self.names.pop(name, None)
        elif file is None:
            assert "sync" in call or "(deleted)" in name, (call, name)
        elif call in ("write", "pwrite64"):
            data, _, where = rest.rpartition('", ')
            content = codecs.escape_decode(data.removeprefix('"').encode())[0]
            assert isinstance(content, bytes)
            length, _, offset = where.partition(", ")
            assert len(content) == int(length)
            file.writes.append((int(offset) if offset else len(file.whole), content))
        elif call == "ftruncate":
            file.writes.append(int(rest))
        else:
            assert call in ("fsync", "fdatasync"), call
            file.sync()


CALL = re.compile(
    r"^\d+ +(?:(?P<call>\w+)\((?P<arguments>.*?)(?P<unfinished> <unfinished \.\.\.>)?"
    r"|<\.\.\. (?P<resumed>\w+) resumed>.*)(?:\) += (?P<result>-?\d+|\?).*)?$"
)


def recorded(trace: Path, folder: Path) -> Iterator[tuple[str, str, str]]:
    """The calls that changed something in ``folder``, and what was said on stdout meanwhile."""
    under_way: dict[str, tuple[str, str, str]] = {}
    for line in trace.read_text("latin-1").splitlines():
        match = CALL.match(line)
        if match is None:
            continue
        thread = line.split()[0]
        if match["resumed"]:
            call = under_way.pop(thread, None)
            # What is written counts from its beginning on, a sync from its end on.
            if call is not None and "sync" in call[0]:
                yield call
            continue
        name, arguments = match["call"], match["arguments"]
        if name == "write" and arguments.startswith("1<"):
            yield "said", "", arguments
            continue
        where = re.match(
            rf'(?:AT_FDCWD<[^>]*>, )?(?:\d+<|"){re.escape(str(folder))}(/?[^>"]*)[>"]', arguments
        )
        if where is None or match["result"] == "-1":
            continue
        call = (name, where[1].removeprefix("/"), arguments[where.end() :].removeprefix(", "))
        if match["unfinished"]:
            under_way[thread] = call
        if "sync" in name and (match["unfinished"] or match["result"] == "?"):
            # Under way yet, or when the process was killed.
            continue
        yield call


@dataclass(frozen=True)
class State:
    """The files after a cut, and ids and times of the uses that had been told before it.

    The first ``kept`` of them had been taken to the disk itself.
    """

    files: dict[str, bytes]
    told: list[tuple[str, str]]
    kept: int


def states(trace: Path, folder: Path, seed: int) -> Iterator[State]:
    """Each state that a cut could leave."""
    disk = Disk()
    told: list[tuple[str, str]] = []
    kept = 0
    chance = random.Random(seed)
    for call, name, rest in recorded(trace, folder):
        if call == "said":
            told += re.findall(r"told (\S+) (\S+);", rest)
            kept = len(told) if "kept;" in rest else kept
        elif not name and "sync" in call:
            disk.synced = dict(disk.names)
        elif not name.endswith("-shm"):
            disk.take(call, name, rest)
            for files in (
                disk.after(None),
                disk.after(chance),
                disk.after(chance),
                disk.after(None, everything=True),
            ):
                yield State(files, list(told), kept)


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("life")
    trace = folder.with_suffix(".trace")
    calls = "openat,write,pwrite64,ftruncate,fsync,fdatasync,rename,unlink,unlinkat"
    strace = [tool("strace", "Debian strace"), "-f", "-y", "-s", "10000000", "-e", f"trace={calls}"]
    python = f'{sys.executable} -c "$1" {folder}/ledger.db'
    run(*strace, "-o", str(trace), "sh", "-c", f"{python} killed; {python} stopped", "sh", LIFE)
    return trace, folder


def check(source: Path, told: list[tuple[str, str]]) -> set[str]:
    """Return the ids that are there, each once; no time is covered in which one is missing."""
    ids = [use["id"] for use in read_uses(source)]
    evidence = read_evidence(source)
    assert len(ids) == len(set(ids))
    assert sum(one.count for one in evidence.sums if one.kind is Kind.USE) == len(ids)
    for id_, when in told:
        moment = datetime.fromisoformat(when)
        covered = any(span.start <= moment < span.end for span in evidence.spans)
        assert id_ in ids or not covered, (when, evidence.spans)
    return set(ids)


def can_be_read(source: Path) -> bool:
    try:
        read_evidence(source)
    except LedgerError:
        return False
    return True


def clear(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


async def test_no_state_after_a_power_cut_claims_time_whose_told_uses_are_missing(
    life: tuple[Path, Path], tmp_path: Path
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - shown where the test fails
    source = tmp_path / "ledger.db"
    missed, read_back, lengths = 0, 0, set()
    for number, state in enumerate(states(*life, seed)):
        clear(tmp_path)
        for name, content in state.files.items():
            (tmp_path / name).write_bytes(content)
        # A shim that is still making its tables tells nobody anything.
        before = check(source, state.told) if state.told or can_be_read(source) else set()
        assert before >= {id_ for id_, _ in state.told[: state.kept]}
        missed += len(before) < len(state.told)
        lengths.add(len(state.told))
        if number % 7 == 0 or not before:
            waiting = len(read_told(source))
            async with running(source) as ledger:
                assert ledger.state().ok, ledger.state().error
                await until(lambda: not read_told(source))
            assert check(source, state.told) >= before
            read_back += waiting > 0
    # Both lives were seen, cuts that took uses away, and such that left some in the journal.
    assert lengths == set(range(17))
    assert missed > 10
    assert read_back > 10
