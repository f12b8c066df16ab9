"""What tests of several folders share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.support.tools import needs_module, tool

if TYPE_CHECKING:
    from playwright.sync_api import Browser

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
