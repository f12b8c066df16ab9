"""``restate-shim serve``: run the proxy until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import Final

import uvloop

from shim.commands.arguments import settings_from
from shim.net.listening import CannotListenError
from shim.net.tls import CertificateError
from shim.record.log import LineWriter, StdlibHandler, make_logger
from shim.record.plane import utc_now
from shim.server import running
from shim.settings.declared import Settings

_STDOUT: Final = 1


def run(args: argparse.Namespace) -> int:
    """Run the command; return the exit code."""
    # Asking for the settings to be read again, before they have been read, must not end it.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    settings = settings_from(args)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(serve(settings, lambda: settings_from(args)))
    except (CannotListenError, CertificateError) as error:
        print(f"restate-shim: {error}", file=sys.stderr)
        return 1


async def serve(settings: Settings, reread: Callable[[], Settings]) -> int:
    """Run ``restate-shim serve`` until SIGTERM or SIGINT; return the exit code.

    SIGHUP, or another content of the settings' file, makes it ``reread`` them.
    """
    writer = LineWriter(_STDOUT)
    logger = make_logger(
        writer,
        instance=settings.instance,
        clock=utc_now,
        log_format=settings.log_format,
        level=settings.log_level,
        colors=os.isatty(_STDOUT),
    )
    logging.basicConfig(level=logging.WARNING, handlers=[StdlibHandler(logger)], force=True)
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            # Whoever asks twice does not want to wait.
            os._exit(1)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    asked = asyncio.Event()
    loop.add_signal_handler(signal.SIGHUP, asked.set)
    async with running(settings, logger, writer, reread=reread, asked=asked):
        gc.collect()
        gc.freeze()
        await stop.wait()
    writer.flush()
    writer.close()
    return 0
