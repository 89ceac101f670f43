"""Rules, dashboards and runbooks speak of metrics that exist, and of each other."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.generate import dashboards, metrics_page

ROOT = Path(__file__).parents[3]
RULES = sorted((ROOT / "deploy" / "prometheus" / "rules").glob("*.yml"))
RUNBOOKS = ROOT / "docs" / "runbooks"
SUFFIXES = ("_bucket", "_sum", "_count", "")


def rule(file: Path) -> dict[str, Any]:
    groups = yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
    assert len(groups) == 1, "one file, one alert"
    assert len(groups[0]["rules"]) == 1, "one file, one alert"
    return dict(groups[0]["rules"][0])


def metrics_in(expression: str) -> set[str]:
    """Names of ours; a pattern of names stands for each that it gives."""
    names = set(re.findall(r"\bagenttracer_[a-z0-9_]+", re.sub(r'__name__=~"[^"]*"', "", expression)))
    for pattern in re.findall(r'__name__=~"([^"]*)"', expression):
        head, among, tail = re.fullmatch(r"([a-z_]*)\(([a-z|]+)\)([a-z_]*)", pattern).groups()  # type: ignore[union-attr]
        names |= {f"{head}{one}{tail}" for one in among.split("|")}
    return names


def known(name: str) -> bool:
    declared = {one[0] for one in metrics_page.described()}
    return any(name.removesuffix(suffix) in declared for suffix in SUFFIXES)


def test_there_are_alerts() -> None:
    assert len(RULES) >= 10


@pytest.mark.parametrize("file", RULES, ids=lambda file: file.stem)
def test_an_alert_is_whole(file: Path) -> None:
    """It has a severity, a summary, a runbook that quotes it, and asks for metrics that some service shows."""
    alert = rule(file)
    assert alert["labels"]["severity"] in {"page", "ticket"}
    assert alert["annotations"]["summary"]
    assert alert["annotations"]["runbook"] == f"docs/runbooks/{file.stem}.md"
    runbook = (ROOT / alert["annotations"]["runbook"]).read_text(encoding="utf-8")
    assert f"`{alert['alert']}`" in runbook
    assert f"    {alert['expr']}\n" in runbook
    assert [name for name in metrics_in(alert["expr"]) if not known(name)] == []


def test_no_runbook_is_left_over() -> None:
    assert {page.stem for page in RUNBOOKS.glob("*.md")} - {"README"} == {file.stem for file in RULES}
    listed = (RUNBOOKS / "README.md").read_text(encoding="utf-8")
    assert [file.stem for file in RULES if f"({file.stem}.md)" not in listed] == []


def test_dashboards_are_as_they_are_written() -> None:
    """`make dashboards` writes them anew."""
    stored = {file.name: file.read_text(encoding="utf-8") for file in dashboards.FOLDER.glob("*.json")}
    assert stored == dashboards.documents()


def test_panels_ask_for_metrics_that_exist() -> None:
    asked = {name for expression in dashboards.expressions() for name in metrics_in(expression)}
    assert len(asked) > 20
    assert sorted(name for name in asked if not known(name)) == []


def test_panels_do_not_lie_on_each_other() -> None:
    for text in dashboards.documents().values():
        places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in json.loads(text)["panels"]]
        assert len(set(places)) == len(places)


def test_the_page_of_metrics_is_true() -> None:
    """`make metrics-page` writes it anew."""
    assert metrics_page.PAGE.read_text(encoding="utf-8") == metrics_page.page()


def test_a_metric_that_is_not_there_is_noticed() -> None:
    assert metrics_in('max by (x) ({__name__=~"agenttracer_(gateway|mars)_keys_age_seconds"})') == {
        "agenttracer_gateway_keys_age_seconds",
        "agenttracer_mars_keys_age_seconds",
    }
    assert known("agenttracer_gateway_ack_seconds_bucket")
    assert not known("agenttracer_mars_keys_age_seconds")
