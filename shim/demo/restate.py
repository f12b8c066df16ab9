"""A real Restate server with the service of :mod:`shim.demo.service` registered."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from shim.demo.http import call

_START_SECONDS: Final = 60.0
_TAIL: Final = 2000


class StartError(Exception):
    """Something did not start; the message ends with what it last said."""


@dataclass(frozen=True, slots=True)
class Restate:
    """A running server: the base URLs of its APIs, and its admin API's Unix socket."""

    admin: str
    ingress: str
    admin_socket: Path

    def send(self, handler: str, argument: str = "x", *, delay: str | None = None) -> str:
        """Send to ``handler`` (``Orders/work``, ``Cart/KEY/hold``) and return the invocation id."""
        query = f"?delay={delay}" if delay else ""
        answer = call(self.ingress, "POST", f"/{handler}/send{query}", body=argument)
        invocation_id: str = answer.json()["invocationId"]
        return invocation_id

    def query(self, sql: str) -> list[dict[str, Any]]:
        """Return the rows of a query over the introspection API."""
        headers = {"Accept": "application/json"}
        answer = call(self.admin, "POST", "/query", body={"query": sql}, headers=headers)
        rows: list[dict[str, Any]] = answer.json()["rows"]
        return rows

    def states(self, *invocation_ids: str) -> dict[str, str]:
        """Return the status of each invocation that there is, with how it failed if it did."""
        ids = ",".join(f"'{one}'" for one in invocation_ids)
        rows = self.query(
            "select id, status, completion_result, completion_failure from sys_invocation "
            f"where id in ({ids})"
        )
        return {row["id"]: _status(row) for row in rows}

    def wait(
        self, invocation_ids: list[str], wanted: Callable[[str | None], bool], seconds: float = 20.0
    ) -> None:
        """Wait until the status of every invocation is ``wanted``; raise ``StartError``."""
        until = time.monotonic() + seconds
        while True:
            states = self.states(*invocation_ids)
            if all(wanted(states.get(one)) for one in invocation_ids):
                return
            if time.monotonic() > until:
                raise StartError(f"invocations did not get where they should: {states}")
            time.sleep(0.1)


def _status(row: dict[str, Any]) -> str:
    failure = row.get("completion_failure")
    if failure:
        return f"{row['status']} {failure}"
    result = row.get("completion_result")
    return f"{row['status']} {result}" if result else str(row["status"])


@contextmanager
def restate_server(program: Path, folder: Path) -> Iterator[Restate]:
    """Run a server with its data in ``folder`` until the body of the ``with`` ends."""
    ports = free_ports(4)
    admin, ingress = (f"http://127.0.0.1:{port}" for port in ports[:2])
    environ = {
        **os.environ,
        "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{ports[0]}",
        "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{ports[1]}",
        "RESTATE_BIND_ADDRESS": f"127.0.0.1:{ports[2]}",
        "DO_NOT_TRACK": "1",
    }
    command = [str(program), "--base-dir", str(folder), "--node-name", "n1", "--no-logo"]
    with ExitStack() as stack:
        server = stack.enter_context(process(command, folder / "restate.log", environ))
        _until(server, lambda: call(admin, "GET", "/health", timeout=2).status == 200)
        service = [sys.executable, "-m", "shim.demo.service", str(ports[3])]
        orders = stack.enter_context(process(service, folder / "service.log"))
        # Asked to end, it would wait for its invocations, which last an hour.
        stack.callback(orders.popen.kill)
        uri = {"uri": f"http://127.0.0.1:{ports[3]}"}
        _until(orders, lambda: call(admin, "POST", "/deployments", body=uri).status < 300)
        _until(server, lambda: call(ingress, "GET", "/restate/health", timeout=2).status == 200)
        yield Restate(admin, ingress, folder / "n1" / "admin.sock")


@dataclass(frozen=True, slots=True)
class Process:
    """A process and where what it says goes."""

    popen: subprocess.Popen[bytes]
    log: Path

    @property
    def tail(self) -> str:
        """The last that it said."""
        return self.log.read_text("utf-8", "replace")[-_TAIL:]


@contextmanager
def process(
    command: list[str], log: Path, environ: dict[str, str] | None = None
) -> Iterator[Process]:
    """Run ``command`` with its output in ``log``; end it with SIGTERM, then SIGKILL."""
    with log.open("wb") as out:
        popen = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=environ
        )
    try:
        yield Process(popen, log)
    finally:
        end(popen)


def end(popen: subprocess.Popen[bytes], seconds: float = 10.0) -> None:
    """End a process: by asking, and where that takes longer, at once."""
    popen.terminate()
    try:
        popen.wait(seconds)
    except subprocess.TimeoutExpired:
        popen.kill()
        popen.wait()


def free_ports(count: int) -> list[int]:
    """Return ports that were free a moment ago, all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _until(running: Process, ready: Callable[[], bool]) -> None:
    until = time.monotonic() + _START_SECONDS
    why = "it answers, but not as it should"
    while time.monotonic() < until:
        if running.popen.poll() is not None:
            raise StartError(f"{running.log.stem} ended at its start:\n{running.tail}")
        try:
            if ready():
                return
        except OSError as error:
            why = str(error)
        time.sleep(0.1)
    raise StartError(f"{running.log.stem} is not ready ({why}):\n{running.tail}")
