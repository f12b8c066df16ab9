from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from shim.ledger.reading import read_evidence, read_uses
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

        kept = [use["id"] for use in read_uses(path)]
        assert len(kept) == len(set(kept))
        assert set(acknowledged) <= set(kept)
        assert sum(one.count for one in read_evidence(path).sums) == len(kept)
        assert sum(day.count for day in read_evidence(path).days) == len(kept)
    assert len(acknowledged) > 10 * KILLS
    spans = read_evidence(path).spans
    assert len(spans) == KILLS
    assert not any(span.stopped for span in spans)
    assert all(span.start <= span.end for span in spans)


def _wait_for_load(out: Path, writer: subprocess.Popen[bytes]) -> None:
    def acknowledges() -> bool:
        assert writer.poll() is None, "the writer ended by itself"
        return out.stat().st_size > 0

    wait_until(acknowledges, within=20, said=lambda: "the writer acknowledged nothing")
