"""A part of a minute of it, every fault once: nothing is lost, nothing is left over."""

from __future__ import annotations

from pathlib import Path

from tests.soak.run import soak


async def test_every_request_has_an_outcome_and_every_use_is_recorded_once(tmp_path: Path) -> None:
    found = await soak(20, every=0.4, seed=1, folder=tmp_path)
    assert not found.wrong, str(found)
    assert len(found.faults_made) == 9
    assert len(found.told.answered) > 100
