"""The GitHub Action and the hook of pre-commit: they are what their readers take."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.paths import DEPLOY, ROOT
from tests.support.running import environment
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


OLD = 'curl -X DELETE "http://restate:9070/invocations/$1?mode=kill"\n'


def outside(**more: str) -> dict[str, str]:
    """The environment of somebody who has not got this repository's modules at hand."""
    return {name: value for name, value in environment().items() if name != "PYTHONPATH"} | more


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A repository with one old call in it, that has been added."""
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / "a.sh").write_text(OLD)
    for words in (("init", "-q"), ("add", "a.sh")):
        subprocess.run(["git", *words], cwd=sources, check=True)
    return sources


def test_the_action_says_where_the_old_calls_are(tmp_path: Path, sources: Path) -> None:
    action = yaml.safe_load(ACTION.read_text())
    (step,) = action["runs"]["steps"]
    given = {name.upper(): one["default"] for name, one in action["inputs"].items()}
    # As GitHub runs steps of this shell, with what it sets for them.
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
    env = outside(**given, GITHUB_ACTION_PATH=str(ACTION.parent), RUNNER_TEMP=str(tmp_path))
    done = subprocess.run(command, cwd=sources, env=env, capture_output=True, check=False)
    assert done.returncode == 3, done.stderr
    (result,) = json.loads((sources / "restate-shim.sarif").read_text())["runs"][0]["results"]
    place = result["locations"][0]["physicalLocation"]
    assert (place["artifactLocation"]["uri"], place["region"]["startLine"]) == ("a.sh", 1)


def test_the_hook_keeps_an_old_call_from_being_committed(tmp_path: Path, sources: Path) -> None:
    command = [tool("pre-commit", "PyPI pre-commit"), "try-repo", str(ROOT), "restate-shim-scan"]
    env = outside(PRE_COMMIT_HOME=str(tmp_path / "home"))
    done = subprocess.run(
        command, cwd=sources, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stdout
    assert "a.sh:1:1  certain  kill" in done.stdout
