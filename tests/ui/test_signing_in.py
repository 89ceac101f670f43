"""A service that needs keys asks once, says what is wrong with a key, and shows the key's project."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from agenttracer_cli.admin.api_keys import Purpose
from servicekit.auth.keys import Scope
from tests.support.browser import launch, settle, watched
from tests.support.pipeline import Pipeline
from tests.support.stacks import Stack


@pytest.fixture(scope="module")
def locked(stack: Stack) -> Iterator[tuple[str, dict[Scope, str]]]:
    """The address of a query service without anonymous callers, and a key of each scope."""
    pipeline = Pipeline(stack)
    keys = {}
    for scope in (Scope.READ, Scope.INGEST):
        purpose = Purpose(project="shop", scopes=frozenset({scope}), name=scope.value)
        keys[scope] = pipeline.keys.replace(purpose, pepper=pipeline.pepper).text
    query = pipeline.query(private=True)
    yield query.url, keys
    pipeline.close()


@pytest.fixture
def browser(locked: tuple[str, dict[Scope, str]]) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = launch(playwright)
        yield running
        running.close()


def test_signing_in_and_out(locked: tuple[str, dict[Scope, str]], browser: Browser) -> None:
    """A wrong key, one that may only send, the right one; a reload keeps it, signing out ends it."""
    url, keys = locked
    with watched(browser, url) as here:
        page = here.context.new_page()
        page.goto(f"{url}/runs")
        page.wait_for_selector("h1")
        assert page.inner_text("h1") == "Sign in"
        assert here.violations(page) == []
        for key, words in (("atk_x", "opens nothing"), (keys[Scope.INGEST], "may send but not read")):
            page.get_by_label("Read key").fill(key)
            page.get_by_role("button", name="Sign in").click()
            page.wait_for_selector(f"[role=alert]:has-text('{words}')")
        page.get_by_label("Read key").fill(keys[Scope.READ])
        page.keyboard.press("Enter")
        page.wait_for_selector(".project")
        assert page.inner_text(".project") == "shop"
        page.reload()
        settle(page)
        assert page.inner_text("h1") == "Runs"
        kept = page.evaluate("[document.cookie, ...Object.values(localStorage), ...Object.values(sessionStorage)].join()")
        assert kept == ""
        (cookie,) = here.context.cookies()
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
        assert keys[Scope.READ].split("_")[2] not in cookie["value"]
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_selector("h1:has-text('Sign in')")
        assert here.context.cookies() == []
