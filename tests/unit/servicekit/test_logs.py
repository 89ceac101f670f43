"""Logs cannot carry content, whoever writes them."""

import errno
import json
import logging
import re
import socket
import time
from pathlib import Path

import pytest
import uvicorn

from servicekit import logs
from servicekit.logs import ContentFreeFormatter, Log, configure

CANARY = "please keep this to yourself"


def _line(name: str, message: object, *args: object, **extra: object) -> dict:
    record = logging.LogRecord(name, logging.INFO, "/somewhere/library.py", 7, message, args, None)
    record.__dict__.update(extra)
    return json.loads(ContentFreeFormatter().format(record))


def test_a_librarys_message_is_an_event_and_its_position() -> None:
    """The event is made from the template. Arguments are never filled in, and a message that came filled is not repeated."""
    for message, args, event in (
        ("Failed for %s: %(name)-8.3f, %d%%.", (CANARY,), "failed_for"),
        ("%s", (CANARY,), "library_message"),
        (f"failed for {CANARY}", (), "library_message"),
        (ValueError(CANARY), (), "library_error"),
    ):
        line = _line("lib", message, *args)
        assert (line["event"], line["where"]) == (event, "library.py:7")
        assert CANARY not in json.dumps(line)


@pytest.mark.parametrize("message", logs._UVICORN)
def test_uvicorns_messages_are_known(message: str) -> None:
    """Each of them that has an event name of its own is in uvicorn's source, as it stands there."""
    line = _line("uvicorn.error", message)
    assert re.fullmatch("[a-z]+(_[a-z]+)+", line["event"])
    folder = Path(uvicorn.__file__).parent
    sources = [(folder / name).read_text() for name in ("server.py", "lifespan/on.py", "protocols/http/httptools_impl.py")]
    said = message.partition("%s://")[0] or message
    assert any(repr(said)[1:-1] in source or said.replace("\n", "\\n") in source for source in sources)


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


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.EADDRINUSE, CANARY), ("OSError", "EADDRINUSE")),
        (FileNotFoundError(errno.ENOENT, CANARY, CANARY), ("FileNotFoundError", "ENOENT")),
        (socket.gaierror(socket.EAI_NONAME, CANARY), ("gaierror", "EAI_NONAME")),
        (OSError(CANARY), ("OSError", None)),
        (OSError(99_999, CANARY), ("OSError", None)),
        (ValueError(CANARY), ("ValueError", None)),
    ],
)
def test_an_error_that_is_logged_as_a_message_is_its_class_and_the_systems_code(
    error: Exception, said: tuple[str, str | None]
) -> None:
    """As uvicorn does. Its text is not repeated."""
    line = _line("lib", error)
    assert (line["error_class"], line.get("code")) == said
    assert CANARY not in json.dumps(line)


def test_times_are_utc_wherever_the_machine_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """They end with a Z, so that nobody has to know the machine's zone."""
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    try:
        record = logging.LogRecord("lib", logging.INFO, "x.py", 1, "x", (), None)
        record.created, record.msecs = 1_700_000_000.25, 250.0
        assert json.loads(ContentFreeFormatter().format(record))["at"] == "2023-11-14T22:13:20.250Z"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_level_that_is_none_is_refused_without_its_value() -> None:
    """Python's own error would repeat it."""
    with pytest.raises(ValueError, match="must be DEBUG") as refused:
        configure(CANARY)
    assert CANARY not in str(refused.value)
