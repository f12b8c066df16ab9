"""What tests of several folders share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.support.tools import needs_module, tool

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# What .ci/run installs: with it nothing is skipped.
EVERYTHING = (
    "apt-get install buildah caddy chromium curl haproxy libnginx-mod-http-js nghttp2-client nginx "
    "npm prometheus strace systemd wrk "
    "&& .venv/bin/python -m pip install --group deploy --group bench"
)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


# Of a module, no longer: Playwright's loop runs in this thread, where other tests run theirs.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real Chromium, which CI installs."""
    chromium = tool("chromium", "Debian chromium")
    needs_module("playwright", "playwright")
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - tests of others need it not

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


# Around pytest's own, which prints the short summary after what others have to say.
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    """Say last what was left out, and the line that gets it."""
    yield
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = [str(report.longrepr[2]).removeprefix("Skipped: ") for report in skipped]
    wanting = [reason.splitlines()[0] for reason in reasons if reason.startswith("missing: ")]
    if wanting:
        names = ", ".join(sorted({reason.removeprefix("missing: ") for reason in wanting}))
        terminalreporter.write_line(f"{len(wanting)} tests were skipped for want of: {names}")
        terminalreporter.write_line(f"On Debian as root, this gets it all: {EVERYTHING}")
