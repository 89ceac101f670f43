"""The page of settings."""

from deploy.settings_page import PAGE, page


def test_the_page_has_every_setting_with_its_reason() -> None:
    """No setting is missing, and none without a reason; `make settings-page` writes it anew."""
    assert PAGE.read_text(encoding="utf-8") == page()
