"""Every command that the pages print is run here, or says above it what it needs."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Final

import pytest
import yaml

from tests.support.kubernetes import render
from tests.support.layouts import FACTS, helm
from tests.support.ledger_records import a_use, append, kept, now, running
from tests.support.paths import DEPLOY, ROOT
from tests.support.running import restate_shim
from tests.support.tools import run, tool

pytestmark = pytest.mark.deploy

_PAGES: Final = ("README.md", "RUNBOOK.md")
_NEEDS: Final = {
    "# needs a cluster",
    "# needs Docker",
    "# needs root and systemd",
    "# needs a shim",
}


@dataclass(frozen=True)
class Block:
    """Lines that stand together, without what is behind a `#`."""

    page: str
    needs: str | None
    commands: tuple[str, ...]


def _blocks() -> Iterator[Block]:
    for page in _PAGES:
        text = (DEPLOY / page).read_text()
        assert "```" not in text, "commands are indented"
        for found in re.findall(r"(?<=\n\n)(?: {4}.*\n)+", text):
            first, *rest = found.splitlines()
            marked = first.strip() if first.strip().startswith("# needs") else None
            lines = "\n".join(rest if marked else [first, *rest]).replace("\\\n", " ")
            # A comment is a line, or ends one; within quotes it is none.
            commands = (
                re.sub(r"^ *#.*|\s#[^']*$", "", line).strip() for line in lines.splitlines()
            )
            said = tuple(re.sub(r" +", " ", one) for one in commands if one)
            yield Block(page, marked, said)


_BLOCKS: Final = list(_blocks())
_CHECK: Final = "promtool check rules deploy/prometheus/alerts.yaml"
_TEST: Final = "promtool test rules deploy/prometheus/alerts_test.yaml"
_DECIDE: Final = (
    "/opt/restate-shim/bin/restate-shim report --config /etc/restate-shim/shim.toml"
    " --ledger /var/lib/restate-shim/ledger.db --fail-if-used-within 14d"
)
_RUNBOOK: Final = (
    "sed -i.bak 's|https://git.example.com/restate-shim|https://YOURS|'"
    " deploy/prometheus/alerts.yaml deploy/kubernetes/sidecar/prometheusrule.yaml"
)


def test_every_command_is_run_below_or_says_what_it_needs() -> None:
    printed = {command for block in _BLOCKS if block.needs is None for command in block.commands}
    assert printed == {_CHECK, _TEST, _DECIDE, _RUNBOOK}
    assert {block.needs for block in _BLOCKS} - {None} == _NEEDS


@pytest.mark.parametrize("command", [_CHECK, _TEST])
def test_of_promtool(command: str) -> None:
    _, *words = shlex.split(command)
    run(tool("promtool", "Debian prometheus"), *words)


async def test_of_deciding_under_systemd(tmp_path: Path) -> None:
    # It read the journal, which forgets, and of which a shim's heartbeats may be gone.
    ledger = tmp_path / "ledger.db"
    async with running(ledger) as writing:
        assert await append(writing, a_use(timestamp=now()))
        await kept(writing)
    places = {
        "/etc/restate-shim/shim.toml": str(DEPLOY / "systemd/shim.toml"),
        "/var/lib/restate-shim/ledger.db": str(ledger),
    }
    _, *words = (places.get(word, word) for word in shlex.split(_DECIDE))
    done = restate_shim(*words)
    assert done.returncode == 3, done.stderr


def test_of_naming_the_runbook(tmp_path: Path) -> None:
    shutil.copytree(DEPLOY, tmp_path / "deploy")
    run(*shlex.split(_RUNBOOK), cwd=tmp_path)
    for name in ("prometheus/alerts.yaml", "kubernetes/sidecar/prometheusrule.yaml"):
        text = (tmp_path / "deploy" / name).read_text()
        urls = set(re.findall(r"runbook_url: (\S+)#", text))
        assert urls == {"https://YOURS/deploy/RUNBOOK.md"}


def test_of_taking_the_second_step(tmp_path: Path) -> None:
    shutil.copytree(DEPLOY / "kubernetes", tmp_path, dirs_exist_ok=True)
    place = tmp_path / "example"
    (line,) = [
        found.strip()
        for found in (DEPLOY / "README.md").read_text().splitlines()
        if found.startswith("    sed ") and "../swap" in found
    ]
    assert "9072" not in yaml.safe_dump_all(render(place))
    run(*shlex.split(line), cwd=place)
    assert "9072" in yaml.safe_dump_all(render(place))


# Helm


@pytest.fixture(scope="module")
def charts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the chart in the version that runs, and in one that came later; yield the URL."""
    folder = tmp_path_factory.mktemp("charts")
    for version in ("1.6.2", "1.9.0"):
        chart = str(FACTS / "restate-helm")
        run(helm(), "package", chart, "--version", version, "--destination", str(folder))
    run(helm(), "repo", "index", str(folder))
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def _of_helm() -> list[str]:
    (block,) = [one for one in _BLOCKS if "cd deploy/kubernetes/helm" in one.commands]
    return list(block.commands)


def _in_place(command: str, place: Path, charts: str, *, upgrade: str = "") -> str:
    """Run a line with what stands in place of a cluster, and return what it said."""
    given = [line for line in _of_helm() if line.startswith("VERSION=")]
    given += [f"CHART='restate-helm --repo {charts}'"]
    given += [f'helm() {{ case "$*" in *upgrade*) echo {upgrade} ;; *) {helm()} "$@" ;; esac; }}']
    script = "\n".join([*given, command.replace("| kubectl -n restate diff -f -", "")])
    done = subprocess.run(
        ["sh", "-c", script], cwd=place, capture_output=True, text=True, timeout=60, check=False
    )
    assert not done.stderr, done.stderr
    return done.stdout


def test_no_step_of_helms_brings_another_restate(charts: str, tmp_path: Path) -> None:
    # Helm took the newest chart, and with it a Restate that may not have the old route.
    shutil.copytree(DEPLOY / "kubernetes/helm", tmp_path, dirs_exist_ok=True)
    (tmp_path / "values.yaml").write_text("{}")
    shown = [line for line in _of_helm() if "template" in line and "diff" in line]
    assert len(shown) == 2
    for line in shown:
        said = _in_place(line, tmp_path, charts)
        images = re.findall(r"image: docker.restate.dev/restatedev/restate:(\S+)", said)
        assert images == ["1.6.2"]
        newest = _in_place(line.replace("--version $VERSION", ""), tmp_path, charts)
        assert "restatedev/restate:1.9.0" in newest


def test_every_helm_that_names_the_chart_names_its_version() -> None:
    for file in (DEPLOY / "README.md", *(DEPLOY / "kubernetes/helm").glob("*.yaml")):
        for line in re.sub(r"\\\n#?", " ", file.read_text()).splitlines():
            for command in re.findall(r"helm -n restate (?:upgrade|template)[^|&]*", line):
                assert "--version" in command, f"{file.name}: {command}"


@pytest.mark.parametrize(("own", "upgrades"), [("{}", True), ("env: []", False)])
def test_the_second_step_is_not_taken_without_its_variable(
    own: str, upgrades: bool, charts: str, tmp_path: Path
) -> None:
    # With an `env` of one's own both took 9070, and the pod's Restate was out.
    shutil.copytree(DEPLOY / "kubernetes/helm", tmp_path, dirs_exist_ok=True)
    (tmp_path / "values.yaml").write_text(own)
    (line,) = [one for one in _of_helm() if "upgrade" in one and "swap.yaml" in one]
    assert ("upgraded" in _in_place(line, tmp_path, charts, upgrade="upgraded")) == upgrades


# Files that its reader has, or that a command makes.
_THEIRS: Final = {
    "values.yaml",
    "docker-compose.yml",
    "overlay.yaml",
    "swap.yaml",
    "restate.yaml",
    "kustomization.yaml",
}


@pytest.mark.parametrize(
    "block", [one for one in _BLOCKS if one.needs], ids=lambda block: block.commands[0][:60]
)
def test_what_the_others_name_is_there(block: Block) -> None:
    where = ROOT
    for command in block.commands:
        words = shlex.split(command)
        if words[0] == "cd":
            where = ROOT / words[1]
            assert where.is_dir()
        if "-k" in words and where != ROOT:
            assert (where / words[words.index("-k") + 1] / "kustomization.yaml").is_file()
        for word in words:
            if re.fullmatch(r"(?!/)[\w./-]+\.(yaml|yml|toml|conf|sh|service)", word):
                assert word in _THEIRS or (where / word).is_file(), word


@pytest.mark.parametrize("page", _PAGES)
def test_no_command_is_one_platforms(page: str) -> None:
    # `open` is there on macOS alone, and `sed -i` without a suffix is GNU's.
    pattern = r"^ +(open|xdg-open|vi|sed -i) "
    assert not re.search(pattern, (DEPLOY / page).read_text(), re.MULTILINE)


@pytest.mark.parametrize("page", _PAGES)
def test_every_anchor_is_a_heading(page: str) -> None:
    for target, anchor in re.findall(r"\]\(([\w.]*)#([\w-]+)\)", (DEPLOY / page).read_text()):
        text = (DEPLOY / (target or page)).read_text()
        headings = {
            re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
            for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
        }
        assert anchor in headings


# The order of the steps


def _commands_of(section: str) -> list[str]:
    text = (DEPLOY / "README.md").read_text()
    found = re.search(rf"^##+ {re.escape(section)}$(.*?)(?=^##)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, section
    lines = found[1].replace("\\\n", " ").splitlines()
    return [line for line in lines if line.startswith("    ")]


@pytest.mark.parametrize(
    ("section", "first", "then"),
    [
        ("Restate's chart, and nothing else", "-f beside.yaml", "-f swap.yaml"),
        ("Kustomize, for what the chart renders", "# step 1", "- ../swap"),
        ("RestateCluster (restate-operator 2.7.0 or later)", "beside.yaml", "swap.yaml"),
        ("Compose", "-f overlay.yaml up", "-f swap.yaml"),
        ("systemd", "enable --now restate-shim", "swap/restate.conf"),
    ],
)
def test_what_is_applied_first_changes_nothing_for_callers(
    section: str, first: str, then: str
) -> None:
    lines = "\n".join(_commands_of(section))
    assert lines.index(first) < lines.index(then)


def test_a_pod_finds_its_settings_when_it_starts() -> None:
    for section in (
        "Restate's chart, and nothing else",
        "RestateCluster (restate-operator 2.7.0 or later)",
    ):
        lines = "\n".join(_commands_of(section))
        assert lines.index("apply -k .") < lines.index("# step 1")


def test_the_way_out_is_for_the_pod_that_waits() -> None:
    # A StatefulSet rolls from the highest number down: restate-0 is the last one to be stuck.
    lines = _commands_of("A sidecar that does not start")
    assert any(line.startswith("    kubectl -n restate get pods ") for line in lines)
    assert not [line for line in lines if "restate-0" in line]


def test_taking_it_out_undoes_the_swap_first() -> None:
    lines = "\n".join(_commands_of("Take it out"))
    assert (
        lines.index("../swap")
        < lines.index("`components`")
        < lines.index("kubectl -n restate delete")
    )
    under_systemd = "\n".join(_commands_of("systemd"))
    assert under_systemd.index("rm /etc") < under_systemd.index("disable --now restate-shim")
