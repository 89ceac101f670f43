"""Links between the pages."""

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.unit.docs.pages import PAGES, ROOT, headings_of, name_of, prose_of

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_ELSEWHERE = ("http://", "https://", "mailto:")


def anchors_of(page: Path) -> set[str]:
    """As GitHub makes them: lower case, punctuation removed, hyphens for blanks, a number for the second of its name."""
    seen: Counter[str] = Counter()
    anchors = set()
    for heading in headings_of(page):
        words = re.sub(r"\]\([^)]*\)", "", heading)
        slug = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        anchors.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return anchors


def broken(page: Path) -> list[str]:
    found = []
    for link in _LINK.findall(prose_of(page)):
        if link.startswith(_ELSEWHERE):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or not target.is_relative_to(ROOT):
            found.append(f"{link}: no such file")
        elif anchor and anchor not in anchors_of(target):
            found.append(f"{link}: no such heading")
    return found


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    """File and heading are there."""
    assert broken(page) == []


def test_every_page_of_docs_can_be_reached_from_the_readme() -> None:
    """A reader who follows links sees all of it."""
    reached: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached:
            continue
        reached.add(page)
        links = [link.partition("#")[0] for link in _LINK.findall(prose_of(page)) if not link.startswith(_ELSEWHERE)]
        waiting += [(page.parent / link).resolve() for link in links if link.endswith(".md")]
    missed = [name_of(page) for page in PAGES if page not in reached and page.is_relative_to(ROOT / "docs")]
    assert missed == []


def test_broken_links_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing file and a missing heading are both named."""
    monkeypatch.setattr("tests.unit.docs.test_links.ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text("# One `two`: three\n[a](#one-two-three) [b](#four) [c](none.md) [d](https://example.org)\n")
    assert broken(page) == ["#four: no such heading", "none.md: no such file"]
