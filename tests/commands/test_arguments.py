"""The settings as flags."""

from __future__ import annotations

import argparse
import subprocess
import sys

import pytest

from shim.cli import main
from shim.commands.arguments import add_settings, settings_from
from shim.settings.declared import SETTINGS, Settings
from tests.support.paths import ROOT
from tests.support.running import restate_shim


def settings_of(*words: str) -> Settings:
    parser = argparse.ArgumentParser()
    add_settings(parser)
    return settings_from(parser.parse_args(words))


def test_a_flag_undoes_a_switch_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHIM_DRY_RUN", "true")
    assert settings_of().dry_run
    settings = settings_of("--dry-run=false", "--no-headers")
    assert not settings.dry_run
    assert settings.no_headers


# The default 100% was taken for a format by argparse: --help ended in a traceback.
def test_the_help_of_serve_tells_every_setting() -> None:
    ended = restate_shim("serve", "--help")
    assert (ended.returncode, ended.stderr) == (0, "")
    for setting in SETTINGS:
        assert f"--{setting.name}" in ended.stdout


@pytest.mark.parametrize(
    ("command", "listed", "not_listed"),
    [
        ("brownouts", "--brownout-share", "--upstream-timeout"),
        ("check", "--upstream-ca", "--max-connections"),
        ("serve", "--max-connections", "--rehearse"),
    ],
)
def test_a_command_lists_the_settings_that_it_reads_and_takes_the_others_too(
    command: str, listed: str, not_listed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    said = capsys.readouterr().out
    assert listed in said
    assert not_listed not in said
    if command == "brownouts":
        assert main([command, not_listed, "5s"]) == 2
        assert "there is no window" in capsys.readouterr().err


# Flags of the report stood beside what it does: all of that was imported at every probe.
def test_what_the_flags_are_is_known_without_what_the_commands_do() -> None:
    heavy = ("asyncio", "aiohttp", "msgspec", "sqlalchemy", "rich", "urllib.request")
    rooms = ("shim.ledger", "shim.report.build", "shim.record", "shim.proxy", "shim.scan")
    program = f"import sys, shim.cli; print([m for m in {heavy + rooms} if m in sys.modules])"
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert ended.stdout == "[]\n"
