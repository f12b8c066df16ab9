"""Other proxies in the shim's place, as far as they are installed: HAProxy, nginx, aiohttp."""

from __future__ import annotations

import asyncio
import multiprocessing
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import uvloop
from aiohttp import ClientSession, DummyCookieJar, TCPConnector, web

Peer = Callable[[int, Path], AbstractContextManager[tuple[int, str]]]

HAPROXY = """
global
    nbthread 1
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend shim
    bind 127.0.0.1:{port}
    http-request set-uri %[path]/%[url_param(mode)] if METH_DELETE
    http-request set-method PATCH if METH_DELETE
    default_backend restate
backend restate
    server admin 127.0.0.1:{upstream}
"""
NGINX = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 100000000;
    upstream restate {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 100000000; }}
    map $request_method $method {{ default $request_method; DELETE PATCH; }}
    map $request_method $target {{ default $request_uri; DELETE $uri/$arg_mode; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_method $method;
            proxy_pass http://restate$target;
        }}
    }}
}}
"""


def peers() -> dict[str, Peer]:
    """Return those that can be started here."""
    found: dict[str, Peer] = {"aiohttp": aiohttp_proxy}
    for name, peer in (("nginx", nginx), ("haproxy", haproxy)):
        if shutil.which(name):
            found[name] = peer
        else:
            print(f"{name} is not installed, and left out", file=sys.stderr)
    return found


@contextmanager
def haproxy(upstream: int, folder: Path) -> Iterator[tuple[int, str]]:
    """HAProxy on one thread; its rewrite is the plain one, with the new answers for old callers."""
    port, config = free_port(), folder / "haproxy.cfg"
    config.write_text(HAPROXY.format(port=port, upstream=upstream))
    with running(["haproxy", "-db", "-f", str(config)], port) as pid:
        yield pid, f"http://127.0.0.1:{port}"


@contextmanager
def nginx(upstream: int, folder: Path) -> Iterator[tuple[int, str]]:
    """Nginx in one process, with connections to upstream kept."""
    port, config = free_port(), folder / "nginx.conf"
    config.write_text(NGINX.format(port=port, upstream=upstream, folder=folder))
    with running(["nginx", "-p", str(folder), "-c", str(config)], port) as pid:
        yield pid, f"http://127.0.0.1:{port}"


@contextmanager
def aiohttp_proxy(upstream: int, folder: Path) -> Iterator[tuple[int, str]]:
    """What one writes first with aiohttp: a handler with a ``ClientSession``, bodies read whole."""
    del folder
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=_run_aiohttp, args=(upstream, theirs), daemon=True)
    process.start()
    try:
        port = ours.recv()
        assert process.pid is not None
        yield process.pid, f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.join()


def _run_aiohttp(upstream: int, port: Connection) -> None:
    async def serve() -> None:
        connector = TCPConnector(limit=0)
        jar = DummyCookieJar()
        async with ClientSession(connector=connector, cookie_jar=jar) as session:

            async def handle(request: web.BaseRequest) -> web.Response:
                method, target = request.method, request.path_qs
                if method == "DELETE":
                    method, target = "PATCH", f"{request.path}/{request.query['mode']}"
                url = f"http://127.0.0.1:{upstream}{target}"
                async with session.request(method, url, data=await request.read()) as answer:
                    fields: Any = {"Content-Type": answer.headers["Content-Type"]}
                    return web.Response(
                        status=answer.status, body=await answer.read(), headers=fields
                    )

            runner = web.ServerRunner(web.Server(handle))
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            port.send(runner.addresses[0][1])
            await asyncio.Event().wait()

    uvloop.run(serve())


@contextmanager
def running(command: list[str], port: int) -> Iterator[int]:
    """Run a program until the body of the ``with`` ends; yield its process id once it listens."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.02)
        else:
            raise SystemExit(f"{command[0]} ended at its start")
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
