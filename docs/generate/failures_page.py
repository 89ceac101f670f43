"""Writes the table of rules in `docs/failures.md` from the taxonomy: `make failures-page`. A test says when it is out of date."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from stream_workers.core.failures.classify import PRESENT
from stream_workers.core.failures.in_words import rules_in_words
from stream_workers.core.failures.rules import Rule

PAGE: Final = Path(__file__).parents[1] / "failures.md"
_SECTION: Final = re.compile(r"(<!-- rules: [^>]*-->\n).*?(<!-- end of rules -->)", re.DOTALL)


def page(text: str) -> str:
    """The page `text` with its table of rules written anew."""
    head = f"Taxonomy {PRESENT.name}. Of a step or a run's end that failed:\n"
    silent = "Of a step that ended well and still was of no use:\n"
    table = "\n".join(["", head, *_table(PRESENT.failed), "", silent, *_table(PRESENT.silent), ""])
    return _SECTION.sub(lambda found: f"{found[1]}{table}\n{found[2]}", text)


def _table(rules: tuple[Rule, ...]) -> Iterator[str]:
    yield "| rule | code | type | evidence |"
    yield "|---|---|---|---|"
    for row in rules_in_words(rules, mark=lambda word: f"`{word}`"):
        yield f"| {' | '.join(row)} |"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
