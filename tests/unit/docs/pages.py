"""The Markdown pages of the tree, and what the tests of this folder read out of them."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGES = sorted(
    page
    for place in (ROOT.glob("*.md"), ROOT.glob("docs/**/*.md"), ROOT.glob("sdk/*.md"), ROOT.glob("tests/golden/**/*.md"))
    for page in place
)
_FENCED = re.compile(r"^```[a-z]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_INDENTED = re.compile(r"(?<=\n\n)(?: {4}.*\n)+")  # without a blank line before it is a list's
_SPAN = re.compile(r"`([^`\n]+(?:\n[^`\n]+)?)`")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose_of(page: Path) -> str:
    """The page without its fenced blocks."""
    return _FENCED.sub("", page.read_text(encoding="utf-8"))


def code_lines_of(page: Path) -> Iterator[str]:
    """The lines of code blocks, with continued ones joined, and the code spans."""
    text = page.read_text(encoding="utf-8")
    blocks = [*_FENCED.findall(text), *_INDENTED.findall(_FENCED.sub("", text))]
    for block in blocks:
        yield from block.replace("\\\n", " ").splitlines()
    for span in _SPAN.findall(_FENCED.sub("", text)):
        yield span.replace("\n", " ")


def headings_of(page: Path) -> list[str]:
    return [line.lstrip("#").strip() for line in prose_of(page).splitlines() if line.startswith("#")]
