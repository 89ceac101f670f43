"""Writes the table of detectors in `docs/privacy.md`: `make privacy-page`. A test says when it is out of date."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from agenttracer.rules.names.detectors import DETECTORS, VERSION
from docs.generate.detector_examples import EXAMPLES

PAGE: Final = Path(__file__).parents[1] / "privacy.md"
_SECTION: Final = re.compile(r"(<!-- detectors: [^>]*-->\n).*?(<!-- end of detectors -->)", re.DOTALL)


def page(text: str) -> str:
    """The page `text` with its table of detectors written anew."""
    table = "\n".join(["", f"Detectors, version {VERSION}:", "", *_table(), ""])
    return _SECTION.sub(lambda found: f"{found[1]}{table}\n{found[2]}", text)


def _table() -> Iterator[str]:
    yield "| detector | finds | hits | leaves |"
    yield "|---|---|---|---|"
    for each in DETECTORS:
        about = (each.finds.__doc__ or "").partition("\n")[0].rstrip(".")
        hits, leaves = EXAMPLES[each.name]
        yield f"| `{each.name}` | {about} | {_examples(hits)} | {_examples(leaves)} |"


def _examples(texts: tuple[str, ...]) -> str:
    return ", ".join(f"`{text}`" for text in texts)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
