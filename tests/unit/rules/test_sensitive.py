"""Thousands of made-up sensitive strings, disguised as names could be, and thousands of real names."""

from collections import Counter
from pathlib import Path

import pytest

from agenttracer.rules.names.detectors import DETECTORS, hit
from agenttracer.rules.names.fit import fit, named_as
from agenttracer.wire.vocabulary import INVALID_NAME
from tests.support.sensitive.disguises import sensitive

REAL_NAMES = Path(__file__).resolve().parents[2] / "support" / "real_names"
OF_EACH = 250


def real_names() -> set[str]:
    """One a line in files of phrases, else one a word."""
    found: set[str] = set()
    for file in REAL_NAMES.glob("*.txt"):
        text = file.read_text(encoding="utf-8")
        found.update(text.splitlines() if file.stem == "agents" else text.split())
    return found - {""}


@pytest.mark.parametrize("seed", [1, 2])
def test_ninety_nine_of_a_hundred_are_hit(seed: int) -> None:
    """Of each kind, in every separator and encoding, at least; and there are thousands."""
    texts = list(sensitive(seed, of_each=OF_EACH))
    assert len(texts) >= 2_000
    assert {detector for detector, _ in texts} == {detector.name for detector in DETECTORS}
    missed = Counter(detector for detector, text in texts if hit(text) is None)
    examples = [text for _, text in texts if hit(text) is None][:20]
    assert all(count <= OF_EACH // 100 for count in missed.values()), (missed, examples)


def test_what_is_missed_by_detectors_is_seldom_a_name() -> None:
    """What has no form of names is not stored either."""
    texts = [text for _, text in sensitive(3, of_each=OF_EACH)]
    stored = [text for text in texts if fit(text).name not in {"__redacted__", INVALID_NAME}]
    assert len(stored) <= len(texts) // 200, stored[:20]


def test_one_real_name_in_a_thousand_is_hit_at_most() -> None:
    """Tools, agents, models, steps and classes of public frameworks."""
    names = real_names()
    assert len(names) >= 5_000
    hits = {name: found for name in names if (found := hit(name)) is not None}
    assert len(hits) <= len(names) // 1_000, hits


def test_real_names_have_a_form() -> None:
    """All of them are kept, as they are or with hyphens for blanks."""
    assert not [name for name in real_names() if named_as(name) is None]
