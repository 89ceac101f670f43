"""Draws one failed run of the demo as `docs/images/demo-waterfall.svg`, from what a running query service answers.

`make up` in one terminal, `make demo` in another, then `make demo-picture`. The picture uses the reader's own monospaced font:
rich's default template loads one from the network.
"""

import io
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.terminal_theme import SVG_EXPORT_THEME

from agenttracer_cli.demo.query_api import QueryApi
from agenttracer_cli.demo.waterfall import waterfall

PICTURE: Final = Path(__file__).resolve().parents[1] / "images" / "demo-waterfall.svg"
_USUAL_QUERY_URL: Final = "http://127.0.0.1:8001"
_WIDTH: Final = 100
_FORMAT: Final = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">
  <style>
    .{unique_id}-matrix {{
      font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
      font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width;
    }}
    .{unique_id}-title {{ font-family: sans-serif; font-size: 18px; font-weight: bold; }}
    {styles}
  </style>
  <defs>
    <clipPath id="{unique_id}-clip-terminal">
      <rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
    </clipPath>
    {lines}
  </defs>
  {chrome}
  <g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
    {backgrounds}
    <g class="{unique_id}-matrix">
    {matrix}
    </g>
  </g>
</svg>
"""


def draw(api: QueryApi, *, since: datetime) -> str:
    """The failed run with the most errors, as the demo picks it. Raises LookupError if there is none."""
    failed = [run for run in api.runs(since=since) if run["status"] == "failure"]
    if not failed:
        raise LookupError("the store has no failed run: run `make demo` first")
    run = max(failed, key=lambda one: (one["error_step_count"], one["step_count"]))
    console = Console(record=True, width=_WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(waterfall(run, api.steps(run["run_id"]), api.failures(run["run_id"]), width=_WIDTH))
    title = f"{run['agent_id']} {run['agent_version']}: {run['status']}"
    return console.export_svg(title=title, theme=SVG_EXPORT_THEME, code_format=_FORMAT, unique_id="demo-waterfall")


def main() -> None:
    """Write the picture; the query service's address may be given as the argument."""
    url = sys.argv[1] if len(sys.argv) > 1 else _USUAL_QUERY_URL
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(draw(QueryApi(url), since=datetime.now(UTC) - timedelta(days=1)), encoding="utf-8")


if __name__ == "__main__":
    main()
