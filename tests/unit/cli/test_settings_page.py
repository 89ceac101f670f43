"""The page of settings."""

from docs.generate.settings_page import PAGE, page


def test_the_page_has_every_setting_with_its_reason() -> None:
    """No setting is missing, and none without a reason; `make settings-page` writes it anew."""
    assert PAGE.read_text(encoding="utf-8") == page()


def test_parts_are_told_variable_by_variable() -> None:
    """What is nested in a setting stands there by the name that the environment has for it."""
    rows = page().splitlines()
    for variable in ("AGENTTRACER_GATEWAY_TLS__KEY_FILE", "AGENTTRACER_WORKER_KAFKA_SECURITY__SASL_MECHANISM"):
        assert [row for row in rows if row.startswith(f"| `{variable}` |")], variable
