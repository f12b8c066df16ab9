"""Ports, variables and flags in ``deploy/`` and the README are those of the settings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shim.settings.declared import SETTINGS
from shim.settings.loading import load
from tests.support.paths import DEPLOY, ROOT
from tests.support.running import restate_shim

pytestmark = pytest.mark.deploy

_FILES = sorted(
    path
    for path in (*DEPLOY.rglob("*"), ROOT / "README.md")
    if path.is_file() and path.suffix != ".lock"
)
_IDS = [str(path.relative_to(ROOT)) for path in _FILES]
_BY_FLAG = {f"--{setting.name}": setting for setting in SETTINGS}
# Of docker, pip, kubectl, buildah, find and the like.
_OTHERS = frozenset(
    (
        *(
            "--allow-unsafe",
            "--build",
            "--build-arg",
            "--remove-orphans",
            "--concurrency",
            "--extra",
            "--extra-index-url",
        ),
        *(
            "--filter",
            "--follow",
            "--force",
            "--from",
            "--from-file",
            "--from-literal",
            "--index-url",
        ),
        *("--generate-hashes", "--install", "--interval", "--keep-alive", "--name", "--network"),
        *("--no-deps", "--no-index", "--now", "--only-binary", "--output-file", "--path-as-is"),
        *("--publish", "--python", "--quiet", "--read-only", "--request", "--require-hashes"),
        *("--retries", "--rm", "--secret", "--start-period", "--stop", "--strip-extras", "--tag"),
        *("--timeout", "--user", "--version", "--volume", "--wait", "--without-pip", "--mount"),
        *("--disable-pip", "--progress-spinner", "--requirement", "--strict"),
        *("--enable-helm", "--detach", "--restart", "--image", "--patch", "--type", "--tail"),
        *("--env", "--filename", "--ignore-not-found", "--namespace", "--previous", "--username"),
        *("--context", "--fail", "--fail-with-body", "--show-error"),
        *("--chown", "--data", "--header", "--include", "--silent", "--output", "--help"),
    )
)


def _flags_of(command: str) -> set[str]:
    said = restate_shim(command, "--help")
    assert said.returncode == 0, said.stderr
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", said.stdout))


@pytest.fixture(scope="module")
def flags() -> dict[str, set[str]]:
    commands = ("serve", "report", "check", "brownouts", "import", "scan", "demo")
    return {command: _flags_of(command) for command in commands}


def _text(path: Path) -> str:
    return path.read_text().replace("\\\n", " ")


@pytest.mark.parametrize("path", _FILES, ids=_IDS)
def test_every_variable_is_a_setting(path: Path) -> None:
    known = {"SHIM_CONFIG", *(setting.variable for setting in SETTINGS)}
    assert set(re.findall(r"\bSHIM_[A-Z_]+[A-Z]\b", path.read_text())) <= known


@pytest.mark.parametrize("path", _FILES, ids=_IDS)
def test_every_flag_is_there(path: Path, flags: dict[str, set[str]]) -> None:
    known = _OTHERS.union(*flags.values())
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z]\b", path.read_text())) <= known


@pytest.mark.parametrize("path", _FILES, ids=_IDS)
def test_every_command_takes_the_flags_it_is_given(path: Path, flags: dict[str, set[str]]) -> None:
    names = "serve|report|check|brownouts|import|scan|demo"
    pattern = rf"restate-shim\S* ({names})\b((?: +(?:--?)?[^\s|#`;&)]+)*)"
    for command, arguments in re.findall(pattern, _text(path)):
        given = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", arguments))
        assert given <= flags[command], f"restate-shim {command}{arguments}"


@pytest.mark.parametrize("path", _FILES, ids=_IDS)
def test_every_file_that_is_named_is_there(path: Path) -> None:
    # A comment went on naming a folder that had been renamed.
    folders = (
        "kubernetes|prometheus|grafana|gateway|gate|systemd|compose|aws|sidecar|swap|policy|names"
        "|helm|operator|argocd|example"
    )
    named = re.findall(rf"(?<![\w./-])((?:{folders})/[\w./-]+\.\w+)", path.read_text())
    places = (path.parent, DEPLOY, DEPLOY / "kubernetes", DEPLOY / "grafana", ROOT)
    for name in named:
        assert any((place / name).is_file() for place in places), name


@pytest.mark.parametrize("path", _FILES, ids=_IDS)
def test_every_port_is_a_default(path: Path) -> None:
    settings = load({}, {})
    ports = {str(settings.listen.port), str(settings.ops_listen.port)}
    assert set(re.findall(r"(?<![\d.])917\d(?!\d)", path.read_text())) <= ports


def test_the_ports_are_what_everything_here_says() -> None:
    settings = load({}, {})
    assert (settings.listen.port, settings.ops_listen.port) == (9170, 9171)
    assert settings.upstream[0].port == 9070


def test_the_readmes_table_gives_the_defaults_of_the_settings() -> None:
    rows = re.findall(r"^\| `(--[a-z-]+)` \|(.*)$", (ROOT / "README.md").read_text(), re.MULTILINE)
    for flag, rest in rows:
        if flag in _BY_FLAG:
            default = _BY_FLAG[flag].default
            text = default if isinstance(default, str) and not _BY_FLAG[flag].switch else ""
            assert text in rest, f"{flag}: {rest}"


@pytest.mark.parametrize("folder", sorted(one.name for one in DEPLOY.iterdir() if one.is_dir()))
def test_the_readme_explains_every_folder(folder: str) -> None:
    assert f"{folder}/" in (DEPLOY / "README.md").read_text()


@pytest.mark.parametrize(
    "names",
    [
        ["kubernetes/example"],
        ["kubernetes/helm"],
        ["kubernetes/operator"],
        ["kubernetes/argocd"],
        ["systemd"],
        ["gate/job"],
        ["gate/github.yaml"],
        ["compose/overlay.yaml"],
        ["compose/three-nodes.yaml"],
        # The settings are in a folder that is mounted.
        ["compose.yaml", "compose/shim.toml"],
        *([f"gateway/{one.name}"] for one in (DEPLOY / "gateway").iterdir()),
    ],
    ids=" ".join,
)
def test_three_values_are_marked_to_be_changed(names: list[str]) -> None:
    places = [DEPLOY / name for name in names]
    files = [file for one in places for file in (one.iterdir() if one.is_dir() else [one])]
    marks = [re.findall(r"(\d) of 3", file.read_text()) for file in files if file.is_file()]
    # A value that stands in the file of either step has its mark in both.
    assert {mark for found in marks for mark in found} == {"1", "2", "3"}
    assert all(len(found) == len(set(found)) for found in marks)
