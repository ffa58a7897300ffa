"""A real Chromium, driven by its own chromedriver."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

_SECONDS = 30.0  # for a page to load, and for a script to end
_ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1400,1000",
)

Browser = webdriver.Chrome
StartBrowser = Callable[..., Browser]


@pytest.fixture
def start_browser(tmp_path: Path) -> Iterator[StartBrowser]:
    """Starts a browser with a fresh profile and any further arguments; every browser ends with the test."""
    with ExitStack() as started:

        def start(*arguments: str) -> Browser:
            options = webdriver.ChromeOptions()
            options.binary_location = _installed("chromium")
            profile = tmp_path / f"profile-{len(list(tmp_path.glob('profile-*')))}"
            for argument in (*_ARGUMENTS, f"--user-data-dir={profile}", *arguments):
                options.add_argument(argument)
            browser = webdriver.Chrome(options=options, service=Service(_installed("chromedriver")))
            started.callback(browser.quit)
            browser.set_page_load_timeout(_SECONDS)
            browser.set_script_timeout(_SECONDS)
            return browser

        yield start


@pytest.fixture
def browser(start_browser: StartBrowser) -> Browser:
    """A browser with a fresh profile."""
    return start_browser()


def _installed(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.fail(f"no {program} on the PATH: apt-get install chromium chromium-driver")
    return found
