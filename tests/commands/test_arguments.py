"""The settings as flags."""

from __future__ import annotations

import argparse

import pytest

from shim.commands.arguments import add_settings, settings_from
from shim.settings.declared import SETTINGS, Settings
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
@pytest.mark.parametrize("command", ["serve", "brownouts", "check"])
def test_help_tells_every_setting(command: str) -> None:
    ended = restate_shim(command, "--help")
    assert (ended.returncode, ended.stderr) == (0, "")
    for setting in SETTINGS:
        assert f"--{setting.name}" in ended.stdout
