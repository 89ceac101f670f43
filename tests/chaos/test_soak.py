"""The short soak: every kind of fault once, on a stack of its own, and nothing is lost, doubled or changed."""

import json
from pathlib import Path

from tests.chaos.finding import INVARIANTS
from tests.chaos.soak import Plan, soak
from tests.support.stacks import Stack


def test_nothing_is_lost_or_doubled(own_stack: Stack) -> None:
    """20,000 events through eleven faults, one of each kind: the checker finds nothing, and saw redeliveries and a zombie."""
    plan = Plan(events=20_000, faults=11, seed=7, spread_s=45)
    report = soak(own_stack, [plan], command="pytest tests/chaos/test_soak.py")
    Path("build").mkdir(exist_ok=True)
    Path("build/soak-short.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    assert report["invariants"] == dict.fromkeys(INVARIANTS, 0), report["rounds"][0]["examples"]
    assert report["faults"] == 11
    assert report["rounds"][0]["settled"]
    assert report["seen"]["records_read_again"] > 0, report["rounds"][0]["fault_log"]
    assert report["seen"]["zombies"] > 0, report["rounds"][0]["fault_log"]
    assert report["passed"]
    assert report["rounds"][0]["query_answers"]["200"] > 0
