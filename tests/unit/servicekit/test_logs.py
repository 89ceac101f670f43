"""Logs cannot carry content, whoever writes them."""

import json
import logging

from servicekit.logs import ContentFreeFormatter, Log

CANARY = "please keep this to yourself"


def _line(name: str, message: object, *args: object, **extra: object) -> dict:
    record = logging.LogRecord(name, logging.INFO, "/somewhere/library.py", 7, message, args, None)
    record.__dict__.update(extra)
    return json.loads(ContentFreeFormatter().format(record))


def test_a_librarys_message_is_its_template_or_its_position() -> None:
    """Arguments are never filled in, and a message that came filled is not repeated."""
    assert _line("lib", "failed for %s", CANARY)["event"] == "failed for %s"
    assert _line("lib", f"failed for {CANARY}")["event"] == "library.py:7"
    assert _line("lib", ValueError(CANARY))["event"] == "library.py:7"


def test_an_exception_is_its_class_and_positions() -> None:
    """Its message is not written."""
    try:
        int(CANARY)
    except ValueError as error:
        record = logging.LogRecord("lib", logging.ERROR, "x.py", 1, "failed", (), (ValueError, error, error.__traceback__))
    text = ContentFreeFormatter().format(record)
    assert CANARY not in text
    assert json.loads(text)["error_class"] == "ValueError"


def test_our_fields_are_numbers_and_names() -> None:
    """A field that is neither says so instead of its value, and one that is not in the list is not written, whatever it is."""
    seen: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = seen.append  # type: ignore[method-assign]  # a list instead of a stream
    logger = logging.getLogger("agenttracer.test")
    logger.addHandler(handler)
    Log("test").error("it_happened", records=3, topic="a-name", reason=CANARY, prompt="Ada", birthday=18151210)
    logger.removeHandler(handler)
    line = json.loads(ContentFreeFormatter().format(seen[0]))
    assert (line["event"], line["records"], line["topic"], line["reason"]) == ("it_happened", 3, "a-name", "(not a name)")
    assert (line.keys() & {"prompt", "birthday"}, line["fields_left_out"]) == (set(), 2)
