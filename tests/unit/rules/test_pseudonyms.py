"""Pseudonyms of names."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agenttracer.rules.names.fit import fit
from agenttracer.rules.names.pseudonyms import Pseudonyms, key_id, project_key
from agenttracer.wire import form

NAME_KEY = "k" * 32
SHOP, BANK = (Pseudonyms(project_key(NAME_KEY, project).encode()) for project in ("shop", "bank"))


@given(st.text(min_size=1))
def test_equal_names_have_equal_pseudonyms_in_one_project_alone(name: str) -> None:
    """Under one key; another project's, and another key's, is another. All have a form of the contract."""
    other_key = Pseudonyms(project_key("o" * 32, "shop").encode())
    assert SHOP.of(name) == Pseudonyms(project_key(NAME_KEY, "shop").encode()).of(name)
    assert len({SHOP.of(name), BANK.of(name), other_key.of(name)}) == 3
    assert re.fullmatch(form.PSEUDONYM_PATTERN, SHOP.of(name))
    assert form.is_code(SHOP.of_code(name))
    assert SHOP.of_code(name)[-10:] == SHOP.of(name)[-10:]


def test_what_looks_the_same_has_one_pseudonym() -> None:
    """Composed or not, and whatever the blanks."""
    assert SHOP.of("Ku\u0308che  leeren") == SHOP.of("K\u00fcche leeren ") != SHOP.of("K\u00fccheleeren")


def test_name_keys_are_told_apart_by_their_ids() -> None:
    """Which tell nothing about them."""
    assert key_id(NAME_KEY) != key_id("o" * 32)
    assert len(key_id(NAME_KEY)) == 16


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("lookup", "lookup"),
        ("Triage Agent", "Triage-Agent"),
        ("查询订单", SHOP.of("查询订单")),
        ("x_" * 40, SHOP.of("x_" * 40)),
        ("__redacted__", "__redacted__"),
        ("please refund the order today", "__redacted__"),
        ("查询 4111111111111111", "__redacted__"),
        ("", "__invalid__"),
        ("!?", "__invalid__"),
        ("订" * 257, "__invalid__"),
    ],
)
def test_what_has_no_form_of_a_name_has_a_pseudonym(text: str, becomes: str) -> None:
    """And what a detector hits has none, nor what is too long to be looked at."""
    assert fit(text, pseudonyms=SHOP).name == becomes
    assert fit(text).name == ("__invalid__" if becomes.startswith("~") else becomes)
