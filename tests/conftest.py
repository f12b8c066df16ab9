"""What tests of several folders share."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.support.wanting import missing

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


# Of a module, no longer: Playwright's loop runs in this thread, where other tests run theirs.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real Chromium, which CI installs."""
    chromium = shutil.which("chromium")
    if chromium is None:
        missing("chromium on the PATH")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()
