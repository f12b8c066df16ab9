"""Reading the settings again: what is applied, what waits for a restart, what a bad file says."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from shim.record.log import LineWriter, make_logger
from shim.route.policy import Phase
from shim.settings.declared import SettingError, Settings
from shim.settings.loading import load
from shim.settings.reload import Reload, line_of
from tests.support.waiting import until


@dataclass
class World:
    """A settings' file, what came of reading it again, and what was logged."""

    path: Path
    read: int
    write: int
    settle_seconds: float = 0.0
    applied: list[Settings] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.writer = LineWriter(self.write)

    def start(self, text: str, **flags: str) -> Reload:
        self.path.write_text(text)
        reread: Callable[[], Settings] = lambda: load(flags, {}, self.path)  # noqa: E731 -- twice
        logger = make_logger(
            self.writer,
            instance="shim-a",
            clock=lambda: datetime(2026, 1, 1, tzinfo=UTC),
            log_format="json",
            level="info",
            colors=False,
        )
        reload = Reload(
            reread(),
            reread,
            logger,
            asyncio.Event(),
            poll_seconds=0.01,
            settle_seconds=self.settle_seconds,
        )
        reload.follow(lambda new, _: self.applied.append(new))
        return reload

    def events(self) -> list[dict[str, Any]]:
        self.writer.flush()
        return [json.loads(line) for line in os.read(self.read, 1 << 16).splitlines()]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    read, write = os.pipe()
    yield World(tmp_path / "shim.toml", read, write)
    os.close(read)
    os.close(write)


async def test_a_file_that_is_the_same_is_not_read(world: World) -> None:
    reload = world.start('phase = "freeze"\n')
    world.path.write_text('phase = "freeze"\n')
    await reload.look(asked=False)
    assert world.applied == []
    await reload.look(asked=True)
    assert world.applied == []
    assert [event["event"] for event in world.events()] == ["config_unchanged"]


async def test_what_can_change_does_and_what_cannot_is_said(world: World) -> None:
    reload = world.start('phase = "freeze"\n')
    text = 'phase = "reject"\nlisten = "127.0.0.1:1"\n[[caller]]\nmatch = "a"\n'
    world.path.write_text(text)
    await reload.look(asked=False)
    (applied,) = world.applied
    assert (applied.phase, len(applied.callers)) == (Phase.REJECT, 1)
    # In force is what the shim does, not what it would do after a restart.
    assert applied.listen.port == 9170
    assert reload.settings is applied
    done, waits = world.events()
    assert (done["event"], done["settings"]) == ("config_applied", ["phase", "[[caller]]"])
    assert (waits["event"], waits["settings"]) == ("config_needs_restart", ["listen"])


async def test_a_flag_still_wins_over_the_file(world: World) -> None:
    reload = world.start('phase = "freeze"\n', phase="observe")
    world.path.write_text('phase = "reject"\n')
    await reload.look(asked=False)
    assert world.applied == []
    assert reload.settings.phase is Phase.OBSERVE


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        pytest.param('phase = "reject"\nreplies = \n', 2, "is not TOML", id="no TOML"),
        pytest.param('\n\n"phase" = "loud"\n', 3, "takes one of observe", id="bad value"),
        pytest.param("brownout_share = 10\n", 1, "10%", id="either spelling"),
        pytest.param('brownout = ["x"]\n', 1, "START/DURATION", id="bad window"),
        pytest.param('phase = "freeze"\nfase = "x"\n', 2, "fase is no setting", id="unknown"),
        pytest.param(
            '[[caller]]\nmatch = "a"\n[[caller]]\nmatch = "b"\nphase = "x"\n',
            5,
            "entry 2: phase: got 'x'",
            id="bad entry",
        ),
        pytest.param(
            '[[caller]]\n\n[[caller]]\nmatch = "a"\n', 1, "match is missing", id="no match"
        ),
        pytest.param(
            '\nsunset = "2020-01-01"\n', 2, "takes a time after --deprecated-since", id="together"
        ),
        pytest.param(f'tls-key = "{__file__}"\n', 1, "got --tls-key only", id="one of two"),
        pytest.param("\n[fase]\nx = 1\n", 2, "fase is no setting", id="unknown table"),
        pytest.param('[caller]\nmatch = "a"\n', 1, "is written [[caller]]", id="one bracket"),
        pytest.param(
            '\ncaller = [{match = "a", phase = "x"}]\n', 2, "phase: got 'x'", id="in one line"
        ),
        pytest.param("max-body = 1.5\n", 1, "got 1.5, takes a string", id="a type that is none"),
        pytest.param(
            'sunset = "0001-01-01T00:00+14:00"\n', 1, "takes a date such as", id="no such day"
        ),
    ],
)
async def test_a_bad_file_changes_nothing_and_tells_its_line(
    text: str, line: int | None, says: str, world: World
) -> None:
    reload = world.start('phase = "freeze"\n')
    before = reload.settings
    world.path.write_text(text)
    await reload.look(asked=False)
    await reload.look(asked=False)
    assert world.applied == []
    assert reload.settings is before
    assert (reload.state.ok, reload.state.line) == (False, line)
    assert says in (reload.state.error or "")
    (event,) = world.events()
    assert (event["event"], event["level"], event["line"]) == ("config_rejected", "error", line)


async def test_a_file_that_is_not_there_or_no_text_is_a_bad_one(world: World) -> None:
    reload = world.start('phase = "freeze"\n')
    world.path.unlink()
    await reload.look(asked=False)
    assert "cannot read" in (reload.state.error or "")
    world.path.write_bytes(b"\xff\xfe")
    await reload.look(asked=False)
    assert "is not TOML" in (reload.state.error or "")
    world.path.write_text('phase = "freeze"\n')
    await reload.look(asked=False)
    assert reload.state.ok
    names = [event["event"] for event in world.events()]
    assert names == ["config_rejected", "config_rejected", "config_unchanged"]


async def test_watching_finds_what_changes_by_itself(world: World) -> None:
    reload = world.start('phase = "freeze"\n')
    watch = asyncio.create_task(reload.watch())
    world.path.write_text("no toml")
    await until(lambda: not reload.state.ok)
    world.path.write_text('phase = "reject"\n')
    await until(lambda: world.applied)
    watch.cancel()
    assert reload.settings.phase is Phase.REJECT


# A look at the emptied file found it good, and everything went back to its default until the next.
@pytest.mark.parametrize("half", ["", 'replies = "native"\n'], ids=["emptied", "one line of two"])
async def test_a_file_that_is_still_being_written_is_not_applied(half: str, world: World) -> None:
    world.settle_seconds = 0.2
    whole = 'replies = "native"\nphase = "reject"\nbrownout-share = "5%"\n'
    reload = world.start('phase = "reject"\n')
    watch = asyncio.create_task(reload.watch())
    world.path.write_text(half)
    await asyncio.sleep(0.1)
    world.path.write_text(whole)
    await until(lambda: world.applied)
    watch.cancel()
    assert [(one.phase, one.brownout_share) for one in world.applied] == [(Phase.REJECT, 0.05)]


async def test_who_asks_need_not_wait_for_a_file_to_settle(world: World) -> None:
    world.settle_seconds = 3600
    reload = world.start('phase = "freeze"\n')
    world.path.write_text('phase = "reject"\n')
    async with asyncio.timeout(5):
        await reload.look(asked=True)
    assert reload.settings.phase is Phase.REJECT


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(SettingError("boom"), id="about nothing in particular"),
        pytest.param(SettingError("boom", entry=9), id="an entry that is not there"),
        pytest.param(SettingError("boom", settings=("replies",)), id="a setting that is not there"),
    ],
)
def test_an_error_that_is_of_no_line_has_none(error: SettingError) -> None:
    assert line_of(error, '[[caller]]\nphase = "x"\n') is None


def test_what_the_environment_says_is_in_no_line_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "shim.toml"
    path.write_text('phase = "freeze"\n')
    with pytest.raises(SettingError) as caught:
        load({}, {"SHIM_PHASE": "x"}, path)
    assert line_of(caught.value, path.read_text()) is None
