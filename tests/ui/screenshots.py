"""Pictures of every page, light and dark, wide and narrow, in `build/screenshots/`: to be looked at. `make screenshots`."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.support.browser import NARROW, WIDE, watched
from tests.ui.conftest import Site
from tests.ui.test_every_page import pages

FOLDER = Path(__file__).parents[2] / "build" / "screenshots"


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_pictures(site: Site, browser: Browser, size: dict[str, int], *, dark: bool) -> None:
    """Whole pages, except those that would be longer than anybody looks at."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    form = f"{size['width']}-{'dark' if dark else 'light'}"
    with watched(browser, site.url, size=size, dark=dark) as here:
        for path in pages(site):
            page = here.open(path)
            if path.startswith("/runs/") and "?" not in path:
                page.keyboard.press("g")
            page.wait_for_timeout(300)  # for what is drawn in the next frame
            name = re.sub(r"[^a-z0-9]+", "-", re.sub(r"[1-9a-f][0-9a-f]{7}-[0-9a-f-]{27}", "one", path)).strip("-")
            page.screenshot(path=FOLDER / f"{name}-{form}.png", full_page="json" not in path and path != "/docs")
            page.close()
