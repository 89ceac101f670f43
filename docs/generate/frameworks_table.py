"""Writes the table of frameworks in `docs/integrations.md` from tests/frameworks: `make frameworks-table`.

A row is a framework as it was recorded, with what can be seen of its agent over OTLP, and why where it cannot.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "integrations.md"
_AGENTS: Final = ROOT / "tests" / "frameworks"
_SECTION: Final = re.compile(r"(<!-- frameworks: [^>]*-->\n).*?(<!-- end of frameworks -->)", re.DOTALL)
_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "agent": ("agent", "version"),
    "steps": ("kinds", "order", "parallel", "nesting"),
    "tools": ("tools",),
    "models": ("models",),
    "tokens": ("tokens",),
    "errors of tools": ("tool_errors", "error_codes"),
    "status": ("success", "failure"),
}
"""Of the table, and the checks of `tests/frameworks/checks.py` that each of them stands for."""


def page(text: str) -> str:
    """The page `text` with its table of frameworks written anew."""
    table = "\n".join(_table())
    return _SECTION.sub(lambda found: f"{found[1]}\n{table}\n\n{found[2]}", text)


def _table() -> Iterator[str]:
    yield f"| framework | instrumentation | {' | '.join(_COLUMNS)} |"
    yield "|---" * (2 + len(_COLUMNS)) + "|"
    reasons: list[str] = []
    for folder in sorted(each.parent for each in _AGENTS.glob("*/about.toml")):
        about = tomllib.loads((folder / "about.toml").read_text(encoding="utf-8"))
        cells = [_cell(about.get("lacks", {}), checks, reasons) for checks in _COLUMNS.values()]
        row = f"{about['title']} {_version(folder, about['package'])}", _instrumentation(folder, about), *cells
        yield f"| {' | '.join(row)} |"
    yield ""
    yield from (f"{number}. {reason[0].upper()}{reason[1:]}." for number, reason in enumerate(reasons, 1))


def _cell(lacks: Mapping[str, str], checks: tuple[str, ...], reasons: list[str]) -> str:
    """`yes`, or the numbers of the reasons why not."""
    numbers: list[int] = []
    for reason in dict.fromkeys(lacks[check] for check in checks if check in lacks):
        if reason not in reasons:
            reasons.append(reason)
        numbers.append(reasons.index(reason) + 1)
    return f"no ({', '.join(map(str, numbers))})" if numbers else "yes"


def _instrumentation(folder: Path, about: Mapping[str, Any]) -> str:
    package = about["instrumentation"]
    return f"`{package}` {_version(folder, package)}" if package else "its own"


def _version(folder: Path, package: str) -> str:
    """Of a package, as it is pinned for the recording."""
    pinned = re.compile(rf'^\W*{re.escape(package)}(?:==|": ")([^\s;",]+)', re.MULTILINE)
    for file in (folder / "requirements.txt", folder / "package.json"):
        if file.exists() and (found := pinned.search(file.read_text(encoding="utf-8"))) is not None:
            return found[1]
    raise ValueError(f"{package} is not pinned in {folder}")


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
