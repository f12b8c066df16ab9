from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from shim.ledger.leftovers import paths_beside
from shim.ledger.reading import read_evidence, read_uses
from shim.ledger.records import encode
from tests.support.disks import fill
from tests.support.ledger_records import a_use, now
from tests.support.paths import ROOT
from tests.support.waiting import wait_until

KILLS = 16


def test_what_was_acknowledged_survives_sigkill_at_any_moment_and_is_there_once(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ledger.db"
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - shown where the test fails
    moments = random.Random(seed)
    acknowledged: list[str] = []
    for number in range(KILLS):
        with (tmp_path / f"acknowledged-{number}").open("wb") as out:
            writer = subprocess.Popen(
                [sys.executable, "-m", "tests.support.ledger_records", str(path)],
                stdout=out,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
            )
            try:
                _wait_for_load(Path(out.name), writer)
                time.sleep(moments.uniform(0, 0.6))
            finally:
                writer.send_signal(signal.SIGKILL)
                writer.wait()
        lines = Path(out.name).read_text().split("\n")
        # What follows the last line feed was cut off by the kill.
        acknowledged += lines[:-1]

        assert set(acknowledged) <= each_once(path)
    assert len(acknowledged) > 10 * KILLS
    spans = read_evidence(path).spans
    assert len(spans) == KILLS
    assert not any(span.stopped for span in spans)
    assert all(span.start <= span.end for span in spans)


def each_once(path: Path) -> set[str]:
    """The ids of the uses that a report of the files of a dead shim finds."""
    kept = [use["id"] for use in read_uses(path)]
    assert len(kept) == len(set(kept))
    assert sum(one.count for one in read_evidence(path).sums) == len(kept)
    assert sum(day.count for day in read_evidence(path).days) == len(kept)
    return set(kept)


def test_a_shim_that_is_killed_while_it_reads_back_loses_and_doubles_nothing(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ledger.db"
    left = [a_use(f"c{number % 50}", now()) for number in range(21_000)]
    for number in range(7):
        lines = b"".join(encode(use) + b"\n" for use in left[number::7])
        # Its last line was torn by the kill.
        torn = encode(a_use())[:-5]
        path.with_name(f"ledger.db.journal-{number:032x}").write_bytes(lines + torn)
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - shown where the test fails
    moments = random.Random(seed)
    seen = 0
    while paths_beside(path):
        writer = subprocess.Popen(
            [sys.executable, "-c", READER, str(path)],
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"opened\n"
        time.sleep(moments.uniform(0, 0.2))
        writer.kill()
        writer.communicate()
        assert each_once(path) == {use.id for use in left}
        seen += 1
    # It took several lives.
    assert seen > 1


READER = """
import asyncio, sys
from pathlib import Path
from tests.support.ledger_records import running

async def live(path):
    async with running(path):
        print("opened", flush=True)
        await asyncio.sleep(60)

asyncio.run(live(Path(sys.argv[1])))
"""


def test_a_shim_that_is_killed_while_its_disk_is_full_loses_nothing_acknowledged(
    small_disk: Path,
) -> None:
    path = small_disk / "ledger.db"
    acknowledged: set[str] = set()
    for _ in range(6):
        ballast = small_disk / "ballast"
        writer = subprocess.Popen(
            [sys.executable, "-m", "tests.support.ledger_records", str(path)],
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        assert writer.stdout is not None
        acknowledged.add(writer.stdout.readline().decode().strip())
        fill(ballast)
        time.sleep(0.3)
        writer.kill()
        lines = writer.communicate()[0].decode().split("\n")
        acknowledged.update(lines[:-1])
        ballast.unlink()
        assert acknowledged <= each_once(path)


def _wait_for_load(out: Path, writer: subprocess.Popen[bytes]) -> None:
    def acknowledges() -> bool:
        assert writer.poll() is None, "the writer ended by itself"
        return out.stat().st_size > 0

    wait_until(acknowledges, within=20, said=lambda: "the writer acknowledged nothing")
