"""How long the pages are, what each decision says, and that written parts are up to date."""

import re
from pathlib import Path

import pytest

from agenttracer.wire.vocabulary import FailureCode
from docs.generate import failures_page, privacy_page
from docs.generate.demo_waterfall import PICTURE
from stream_workers.core.loop_detection import IN_A_ROW, SAME_WORK
from tests.unit.docs.pages import PAGES, ROOT, name_of, prose_of

README_WORDS_MAX = 600
CHANGELOG_LINES_MAX = 40
SNIPPET_LINES_MAX = 12
DECISIONS = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))
BY_HAND = [page for page in PAGES if page.name not in {"settings.md", "otlp-mapping.md", "data-dictionary.md"}]
_INDIRECT = re.compile(r"(?:^|[.:!] )(?:What|Who|Whoever|Whose) [^?]*?[.:;]", re.MULTILINE)


def test_the_readme_is_a_page() -> None:
    """A newcomer reads all of it; the rest is in docs/."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"<!-- snippet: quickstart -->\n```python\n(.*?)```", text, re.DOTALL)
    assert len(text.split()) <= README_WORDS_MAX
    assert len(snippet.splitlines()) <= SNIPPET_LINES_MAX


def test_the_changelog_is_short_before_the_first_release() -> None:
    """It says what changes for users, not against states that nobody had."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## \d", text, re.MULTILINE) or len(text.splitlines()) <= CHANGELOG_LINES_MAX


def test_the_picture_loads_nothing() -> None:
    """No font, style sheet or image comes from elsewhere."""
    picture = PICTURE.read_text(encoding="utf-8").replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert not re.search(r"https?:|@import|@font-face|<image|<script", picture)
    assert f"({PICTURE.relative_to(ROOT)})" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_rules_in_the_page_of_failures_are_the_taxonomy() -> None:
    """`make failures-page` writes them anew."""
    text = failures_page.PAGE.read_text(encoding="utf-8")
    assert text == failures_page.page(text)


def test_the_detectors_in_the_page_of_privacy_are_the_rules() -> None:
    """`make privacy-page` writes them anew."""
    text = privacy_page.PAGE.read_text(encoding="utf-8")
    assert text == privacy_page.page(text)


def test_every_failure_code_has_a_meaning() -> None:
    """And no other code has one; the number of tries that make a loop is the code's."""
    section = failures_page.PAGE.read_text(encoding="utf-8").split("## Codes\n")[1].split("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(FailureCode)
    assert f"the same work {SAME_WORK} times, or one tool {IN_A_ROW} times in a row" in section


@pytest.mark.parametrize("decision", DECISIONS, ids=name_of)
def test_a_decision_has_its_status_date_and_alternatives(decision: Path) -> None:
    """A reader knows whether it still holds, since when, and what else there was."""
    text = decision.read_text(encoding="utf-8")
    number = decision.name[:4]
    assert text.startswith(f"# {number} ")
    assert re.search(r"^Status: (accepted|replaced by)", text, re.MULTILINE)
    assert re.search(r"^Date: \d{4}-\d\d-\d\d", text, re.MULTILINE)
    assert re.search(r"^## Alternatives considered$", text, re.MULTILINE)


def test_decisions_have_numbers_of_their_own_and_are_listed() -> None:
    """One file a number, one row a file."""
    listed = re.findall(r"^\| \[(\d{4})\]\(([^)]+)\)", (ROOT / "docs/adr/README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert listed == [(decision.name[:4], decision.name) for decision in DECISIONS]
    assert len({number for number, _ in listed}) == len(listed)


@pytest.mark.parametrize("page", BY_HAND, ids=name_of)
def test_sentences_begin_with_their_subject(page: Path) -> None:
    """None of a page written by hand opens with What, Who, Whoever or Whose."""
    lines = [line for line in prose_of(page).splitlines() if not line.startswith("#")]
    prose = re.sub(r"^(?:[-*] |\d+\. )?(?:\*\*)?", "", "\n".join(lines), flags=re.MULTILINE)
    assert [found.replace("\n", " ") for found in _INDIRECT.findall(prose)] == []
