"""`agenttracer taxonomy show`: the rules as they are applied."""

import json

from typer.testing import CliRunner

from agenttracer_cli.app import app
from stream_workers.core.failures.classify import PRESENT


def test_it_prints_every_rule_in_its_order() -> None:
    """The first that holds decides, so the order is part of what is printed."""
    done = CliRunner().invoke(app, ["taxonomy", "show", "--json"])
    shown = json.loads(done.stdout)
    assert done.exit_code == 0
    assert shown["taxonomy"] == PRESENT.name == "2"
    assert [rule["id"] for rule in shown["failed"]] == [rule.id for rule in PRESENT.failed]
    assert [rule["id"] for rule in shown["silent"]] == [rule.id for rule in PRESENT.silent]
    assert {"id": "http.rate_limited", "code": "rate_limited", "type": "by kind", "evidence": "HTTP status 429"} in shown[
        "failed"
    ]


def test_it_prints_an_older_one_and_refuses_an_unknown_one() -> None:
    """Old failures stay readable by the rules that named them."""
    assert json.loads(CliRunner().invoke(app, ["taxonomy", "show", "1", "--json"]).stdout)["taxonomy"] == "1"
    assert "class.syntax" in CliRunner().invoke(app, ["taxonomy", "show"]).stdout
    assert CliRunner().invoke(app, ["taxonomy", "show", "nosuch"]).exit_code == 2
