"""An empty project says how to send the first run, with the right addresses, and turns into it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.support.browser import launch, settle, watched
from tests.support.pipeline import Pipeline
from tests.support.stacks import Stack

Empty = tuple[Pipeline, str, str]


@pytest.fixture
def empty(stack: Stack) -> Iterator[Empty]:
    pipeline = Pipeline(stack)
    gateway = pipeline.gateway()
    pipeline.worker()
    yield pipeline, gateway.url, pipeline.query(gateway=gateway).url
    pipeline.close()


@pytest.fixture
def browser(empty: Empty) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = launch(playwright)
        yield running
        running.close()


def test_the_first_minute(empty: Empty, browser: Browser, tmp_path: Path) -> None:
    """What is shown is copied into a shell and a file, and the page becomes the overview by itself."""
    _, gateway, url = empty
    with watched(browser, url) as here:
        page = here.open("/")
        assert here.violations(page) == []
        assert gateway in page.inner_text("[aria-label='Lines for OpenTelemetry']")
        shell = page.inner_text("[aria-label='Lines for the SDK']")
        program = page.inner_text("[aria-label='A first run with the SDK']")
        (tmp_path / "first.py").write_text(program)
        exports = [line for line in shell.splitlines() if line.startswith("export")]
        script = "\n".join([*exports, f"exec {sys.executable} first.py"])
        subprocess.run(["/bin/sh", "-c", script], cwd=tmp_path, check=True)
        page.wait_for_selector("h1:has-text('Overview')", timeout=60_000)
        settle(page)
        assert "my-agent" in page.inner_text("main")
