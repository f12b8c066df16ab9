"""The sockets that the shim listens on: TCP and Unix, with and without TLS."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import ssl
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, Protocol

from shim.net.addresses import Address

_BACKLOG: Final = 1024
HANDSHAKE_SECONDS: Final = 1.0
"""For how long callers are waited for that have yet to shake hands when the shim ends."""
_RETRY_SECONDS: Final = 0.1
_NO_IPV6: Final = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


class CannotListenError(Exception):
    """A listener's address cannot be had; the message says which and why."""


def open_socket(address: Address, flag: str) -> socket.socket:
    """Bind and listen, or raise :class:`CannotListenError`."""
    try:
        listener = _bound(address)
    except OSError as error:
        why = error.strerror or str(error)
        if error.errno == errno.EADDRINUSE:
            why = "the address is in use; stop who listens there, or choose another"
        raise CannotListenError(f"{flag}: cannot listen on {address}: {why}") from None
    listener.listen(_BACKLOG)
    return listener


def _bound(address: Address) -> socket.socket:
    if address.path is not None:
        return _open_unix_socket(address.path)
    assert address.host is not None
    try:
        return _open_tcp_socket(address.host, address.port)
    except OSError as error:
        if address.host != "::" or error.errno not in _NO_IPV6:
            raise
        # All addresses there are: of this kernel those of IPv4.
        return _open_tcp_socket("0.0.0.0", address.port)  # noqa: S104 - as it was asked for


def _open_tcp_socket(host: str, port: int | None) -> socket.socket:
    infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, where = infos[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6 and host == "::":
            # Whatever the machine's default is: callers by IPv4 come in here too.
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(where)
    except BaseException:
        listener.close()
        raise
    return listener


def _open_unix_socket(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if Path(path).is_socket():
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                probe.settimeout(1)
                if probe.connect_ex(path) == 0:
                    raise OSError(errno.EADDRINUSE, "in use")
            # Left behind by a process that has ended.
            Path(path).unlink()
        # The admin API asks nobody who they are: the socket's mode is its protection.
        before = os.umask(0o117)
        try:
            listener.bind(path)
        finally:
            os.umask(before)
    except BaseException:
        listener.close()
        raise
    return listener


def remove_socket(address: Address) -> None:
    """Remove the file of a Unix socket."""
    if address.path is not None:
        with contextlib.suppress(OSError):
            Path(address.path).unlink()


def url_of(listener: socket.socket, scheme: str) -> str:
    """Return where ``listener`` can be reached, with the port that the kernel chose."""
    if listener.family == socket.AF_UNIX:
        return f"unix:{listener.getsockname()}"
    host, port = listener.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


class Listener(Protocol):
    """What accepts connections."""

    def close(self) -> None:
        """Accept no more."""


async def listen(
    loop: asyncio.AbstractEventLoop,
    protocol: Callable[[], asyncio.BaseProtocol],
    listener: socket.socket,
) -> Listener:
    """Accept connections from now on."""
    create = loop.create_unix_server if listener.family == socket.AF_UNIX else loop.create_server
    return await create(protocol, sock=listener, backlog=_BACKLOG)


class TlsListener:
    """Accepts callers that speak TLS, from now on; ``most`` shake hands at a time.

    Others wait to be accepted: what has no protocol yet could not be counted or refused by one.
    ``handshake_timeout`` is in seconds.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        protocol: Callable[[], asyncio.BaseProtocol],
        listener: socket.socket,
        tls: ssl.SSLContext,
        *,
        handshake_timeout: float,
        most: int,
    ) -> None:
        self._loop = loop
        self._protocol = protocol
        self._listener = listener
        self._tls = tls
        self._handshake_timeout = handshake_timeout
        self._most = most
        self._shaking: set[asyncio.Task[None]] = set()
        self._accepting = False
        listener.settimeout(0)
        self._go_on()

    @property
    def shaking(self) -> bool:
        """Whether somebody shakes hands."""
        return bool(self._shaking)

    def close(self) -> None:
        """Accept no more; those who shake hands are served."""
        self._most = 0
        self._pause()

    def _go_on(self) -> None:
        if not self._accepting and len(self._shaking) < self._most:
            self._accepting = True
            self._loop.add_reader(self._listener, self._accept)

    def _pause(self) -> None:
        if self._accepting:
            self._accepting = False
            self._loop.remove_reader(self._listener)

    def _accept(self) -> None:
        try:
            accepted, _ = self._listener.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError:
            # The system has no more descriptors: some will be given back.
            self._pause()
            self._loop.call_later(_RETRY_SECONDS, self._go_on)
            return
        task = self._loop.create_task(self._shake(accepted))
        self._shaking.add(task)
        task.add_done_callback(self._shook)
        if len(self._shaking) >= self._most:
            self._pause()

    async def _shake(self, accepted: socket.socket) -> None:
        # Who does not shake hands is let go without a word.
        with contextlib.suppress(OSError):
            await self._loop.connect_accepted_socket(
                self._protocol,
                accepted,
                ssl=self._tls,
                ssl_handshake_timeout=self._handshake_timeout,
            )

    def _shook(self, task: asyncio.Task[None]) -> None:
        self._shaking.discard(task)
        self._go_on()


def take_waiting(listener: socket.socket) -> list[socket.socket]:
    """Accept those who have connected and wait: closing ``listener`` would reset them."""
    taken = []
    with contextlib.suppress(OSError):
        while True:
            taken.append(listener.accept()[0])
    return taken


async def serve(
    loop: asyncio.AbstractEventLoop,
    protocol: Callable[[], asyncio.BaseProtocol],
    connections: Iterable[socket.socket],
    tls: ssl.SSLContext | None,
) -> None:
    """Serve ``connections`` that were accepted before; who does not shake hands is let go."""
    seconds = None if tls is None else HANDSHAKE_SECONDS
    begun = (
        loop.connect_accepted_socket(protocol, one, ssl=tls, ssl_handshake_timeout=seconds)
        for one in connections
    )
    await asyncio.gather(*begun, return_exceptions=True)
