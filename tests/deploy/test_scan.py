"""The GitHub Action and the hook of pre-commit: they are what their readers take."""

from __future__ import annotations

import subprocess

import pytest
import yaml

from tests.support.paths import DEPLOY, ROOT
from tests.support.tools import tool

pytestmark = pytest.mark.deploy

ACTION = DEPLOY / "scan/action.yml"


def test_github_takes_the_action() -> None:
    checker = tool("check-jsonschema", "PyPI check-jsonschema")
    command = [checker, "--builtin-schema", "vendor.github-actions", str(ACTION)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_action_installs_this_repository() -> None:
    (step,) = yaml.safe_load(ACTION.read_text())["runs"]["steps"]
    assert "$GITHUB_ACTION_PATH/../..[scan]" in step["run"]
    assert (ACTION.parent / "../../pyproject.toml").is_file()
    # What a workflow gives is never put into the script's text.
    assert "${{" not in step["run"]


def test_the_hook_installs_what_the_extra_does() -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert set(hook) >= {"id", "name", "entry", "language"}
    text = (ROOT / "pyproject.toml").read_text()
    for dependency in hook["additional_dependencies"]:
        assert f'"{dependency}"' in text
