"""The rules of versions: any minor version of 1 is read, its news counted; another major version is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from agenttracer.wire.envelope import SUPPORTED, VERSION, supports
from agenttracer.wire.errors import ContractError, VersionError
from agenttracer.wire.reader import Lenient, Unfit, read_batch_head, read_event, read_record

GOLDEN = Path(__file__).resolve().parents[2] / "golden"


def golden(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((GOLDEN / f"{name}.json").read_text())
    return found


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.9999", VERSION])
def test_minor_versions_of_1_are_supported(version: str) -> None:
    """A newer minor version only adds."""
    assert supports(version)


@pytest.mark.parametrize(
    "version", ["", "1", "1.", "0.9", "2.0", "10.0", "1.x", "1.-1", "1.0.0", "v1.0", " 1.0", "1.12345", "1.\u0661"]
)
def test_everything_else_is_not(version: str) -> None:
    """Neither other major versions nor what is no version."""
    assert not supports(version)


def test_an_unknown_major_version_says_which_rule() -> None:
    """A batch or record of version 2 is a VersionError; `SUPPORTED` is what can be offered instead."""
    for name, read in (("batch", lambda raw: read_batch_head(raw, Lenient())), ("record", read_record)):
        raw = {**golden(name), "v": "2.0"}
        with pytest.raises(VersionError) as refused:
            read(raw)
        assert (refused.value.field, refused.value.rule) == ("v", "unsupported_version")
    assert SUPPORTED == "1.x"


@pytest.mark.parametrize(("version", "rule"), [(None, "type"), (1.0, "type"), ("missing", "missing")])
def test_a_version_must_be_said(version: object, rule: str) -> None:
    """No version is not version 1."""
    raw = {**golden("record"), "v": version}
    if version == "missing":
        del raw["v"]
    with pytest.raises(ContractError) as refused:
        read_record(raw)
    assert (refused.value.field, refused.value.rule) == ("v", rule)


def test_unknown_members_of_a_newer_minor_version_are_ignored_and_counted() -> None:
    """At every level: batch, producer, event, evidence."""
    raw = {**golden("record"), "v": "1.5", "news": 1}
    raw["producer"] = {**raw["producer"], "news": 1}
    error = {**raw["events"][1], "news": {"deep": [1]}}
    raw["events"] = [raw["events"][0], {**error, "evidence": {**error["evidence"], "news": 1}}]
    record, notes = read_record(raw)
    assert notes.unknown == 4
    assert len(record.events) == 2

    unfit = Unfit()
    read_batch_head({**golden("batch"), "news": 1, "more": 2}, unfit)
    assert unfit.notes.unknown == 2


def test_an_unknown_kind_of_event_is_refused_by_rule() -> None:
    """The tag is the one member that cannot be guessed around."""
    for raw, rule in (({"type": "run_dreamt"}, "unknown_value"), ({"type": 3}, "unknown_value"), ({}, "missing")):
        with pytest.raises(ContractError) as refused:
            read_event(raw, Lenient())
        assert (refused.value.field, refused.value.rule) == ("type", rule)
