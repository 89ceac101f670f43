"""The reader of errors: what it takes for one, which word it answers, and that no text makes it slow or slips through."""

import sys

import pytest

from agenttracer.rules import error_reader
from agenttracer.rules.error_reader import code_of_error, read_message, read_output, read_stderr
from agenttracer.rules.error_results import read_result
from agenttracer.rules.errors import patterns
from agenttracer.rules.errors.codes import ErrorReading
from agenttracer.rules.errors.text import flat
from agenttracer.wire.form import is_code, is_name
from agenttracer.wire.vocabulary import FailureCode
from tests.unit.rules.error_examples import ERRORS, GOOD, MESSAGES, ROWS

TABLE = (*patterns.FIRST, *patterns.TOOLS, *patterns.REST, patterns.CODE, *patterns.DOMAIN)
MIB = 1024 * 1024


@pytest.mark.parametrize(("code", "text"), [(code, text) for code, texts in ERRORS.items() for text in texts])
def test_a_result_that_is_an_error_gets_its_code(code: str, text: str) -> None:
    """As shells, compilers, browsers, databases, protocols and providers write them."""
    found = read_output(text)
    assert found is not None
    assert found.code == code


@pytest.mark.parametrize("text", GOOD)
def test_a_good_result_is_no_error(text: str) -> None:
    """Also where it speaks of errors: search results, logs, code, lists of tickets, a song called `Not Found`."""
    assert read_output(text) is None


@pytest.mark.parametrize(("text", "code"), MESSAGES)
def test_a_message_gets_its_code(text: str, code: str | None) -> None:
    """Messages are known to be of an error, so nothing has to look like one; what the table does not know has no code."""
    assert read_message(text) == code


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.id)
def test_a_row_holds_for_its_examples_alone(row: patterns.Pattern) -> None:
    """Each row has texts that it must and texts that it must not take."""
    taken, left = ROWS[row.id]
    assert all(any(phrase in flat(text) for phrase in row.phrases) for text in taken)
    assert not [text for text in left if any(phrase in flat(text) for phrase in row.phrases)]


def test_rows_are_well_formed() -> None:
    """Ids are unique, codes of the vocabulary, phrases as they are looked for: in lower case, with single blanks."""
    assert len({row.id for row in TABLE}) == len(TABLE) == len(ROWS)
    assert patterns.VERSION == 1
    for row in TABLE:
        assert row.code in set(FailureCode)
        assert all(phrase == phrase.lower() and "  " not in phrase and len(phrase.strip()) > 2 for phrase in row.phrases)


HOSTILE = (
    "a" * MIB,
    " " * MIB,
    "\n" * MIB,
    "error" * (MIB // 5),
    "Error: " * (MIB // 7),
    '{"error": ' * (MIB // 10),
    '"' * MIB,
    "\\" * MIB,
    '{"' * (MIB // 2),
    "{'a': '" * (MIB // 7),
    "a: " * (MIB // 3),
    "a.b/c:" * (MIB // 6),
    "x" * 40 + ": " + ("y" * 119 + ": ") * 9_000,
    "Traceback (most recent call last)\n" + "A.B.C.D.E.F" * 90_000,
    ("Traceback (most recent call last)\n" + "AError" * 12 + ": x\n") * 9_000,
    "<title" + " " * MIB,
    "<title>" * (MIB // 7),
    "404" * (MIB // 3),
    "status" * (MIB // 6) + ": 500",
    "exit code" * (MIB // 9),
    "exited with code " * (MIB // 17) + "1",
    "  at " * (MIB // 5),
    "AError: x\n" * (MIB // 10) + "   at x",
    "the error " * (MIB // 10),
    "tool " * (MIB // 5) + "not found",
    "```" * (MIB // 3),
    "output:" * (MIB // 7),
    "\x00" * MIB,
    "\ud83d" * (MIB // 4),
    "😀" * (MIB // 4),
    "(((((((((" * (MIB // 9),
    "[{" * (MIB // 2),
)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_no_text_is_read_as_a_whole(text: str) -> None:
    """What lies between the ends changes no answer, so the work is bounded; and the ends make no pattern go on for ever."""
    cut = text[:2_400] + "…" * (len(text) - 4_800) + text[-2_400:] if len(text) > 4_800 else text
    assert read_output(text) == read_output(cut)
    assert read_message(text) == read_message(cut)
    read_stderr(text)
    read_result({"error": text})
    assert code_of_error(text, error_class=None, error_code="x", http_status=None) == "x"


@pytest.mark.parametrize("text", [*GOOD, *(text for texts in ERRORS.values() for text in texts), *(m for m, _ in MESSAGES)])
def test_an_answer_is_a_word_of_the_table(text: str) -> None:
    """Whatever the text holds, a code of the vocabulary and a class of the language are all that can come out."""
    for found in (read_output(text), read_stderr(text), read_result(text), read_result({"error": text})):
        assert found is None or (found.code in set(FailureCode) and is_code(found.code))
        assert found is None or found.error_class is None or is_name(found.error_class)


def test_a_class_of_somebody_is_not_answered() -> None:
    """Only classes of Python and JavaScript are: any other one may be anybody's word."""
    assert read_output("CanaryAliceSmithError: not found") == ErrorReading("not_found")
    assert read_output("KeyError: 'canary'") == ErrorReading("code_error", "KeyError")


class _Result:
    def __init__(self, **attributes: object) -> None:
        self.__dict__.update(attributes)


class _Hostile:
    @property
    def text(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, None),
        (7, None),
        (b"Error: x", None),
        ("Error: user not found", "not_found"),
        ({"error": "user not found"}, "not_found"),
        ({"error": None, "user": 1}, None),
        ({"success": False, "message": "the seat is already taken"}, "conflict"),
        ({"success": True, "message": "error"}, None),
        ({"exit_code": 1, "stderr": "jq: command not found"}, "tool_not_found"),
        ({"exit_code": 0, "stderr": "warning"}, None),
        ({"orders": [{"error": "x"}]}, None),
        ({"isError": True, "content": [{"type": "text", "text": "boom"}]}, "tool_error"),
        ([{"type": "text", "text": "Error: timed out"}], "timeout"),
        ([{"type": "text", "text": "fine"}, {"type": "text", "text": "Error: timed out"}], None),
        (_Result(isError=True, content=[_Result(text="Access denied")]), "auth"),
        (_Result(isError=False, content=[_Result(text="Access denied")]), None),
        (_Result(status="error", content="no such order"), "not_found"),
        (_Result(status="success", content="Error-free"), None),
        (_Result(text="Error: 429 Too Many Requests"), "rate_limited"),
        (ValueError("user not found"), "not_found"),
        (_Hostile(), None),
    ],
    ids=lambda _: "",
)
def test_a_result_of_any_type_is_read_where_it_says_so(value: object, code: str | None) -> None:
    """Mappings by their members, classes of frameworks by their attributes; nothing raises."""
    found = read_result(value)
    assert (None if found is None else found.code) == code


@pytest.mark.parametrize(
    ("said", "code"),
    [
        # a code that says something stays, whatever the message speaks of
        (("rate limit", "X", "context_length_exceeded", 400), "context_length_exceeded"),
        # a code that is given to many errors is refined
        (("prompt is too long: 9 > 8", "BadRequestError", "invalid_request_error", 400), "context_overflow"),
        (("API key not valid", "ClientError", "INVALID_ARGUMENT", 400), "auth"),
        # a status that says enough is refined by nothing but a provider's own limits
        (("invalid value", "APIError", None, 401), None),
        (("You exceeded your current quota", "RateLimitError", None, 429), "quota_exceeded"),
        (("not found", "APIError", None, 429), None),
        # 413 of a model comes with the code of a rate
        (("Request too large for model x", "APIStatusError", "rate_limit_exceeded", 413), "context_overflow"),
        # the languages' own classes hold names of the agent's own
        (("'api_key'", "KeyError", None, None), None),
        (("f() got an unexpected keyword argument 'timeout'", "TypeError", None, None), None),
        (("fetch failed", "TypeError", None, None), "connection"),
        (("words", "AgentError", None, None), None),
    ],
    ids=str,
)
def test_the_code_that_says_most_is_kept(said: tuple[str, str | None, str | None, int | None], code: str | None) -> None:
    """An error's own code, unless that says little and its message tells more."""
    message, error_class, error_code, http_status = said
    assert code_of_error(message, error_class=error_class, error_code=error_code, http_status=http_status) == code


def test_what_ends_well_may_say_what_it_did_not_find() -> None:
    """A program that says it succeeded is believed, unless its words are those of an error alone."""
    assert read_output("exitcode: 0\nThe file was not found.") is None
    assert read_output("exitcode: 0\nError: the file was not found") == ErrorReading("not_found")


def test_nothing_of_the_reader_keeps_a_text() -> None:
    """After hundreds of texts no module of it refers to one: only compiled patterns and closed words are kept."""
    canary = "CANARY-7f3a not found Error: canary"
    for _ in range(3):
        read_output(f"Error: {canary}")
        read_message(canary)
        read_result({"error": canary})
    modules = [module for name, module in sys.modules.items() if name.startswith("agenttracer.rules.err")]
    assert error_reader in modules
    held = [repr(value) for module in modules for value in vars(module).values() if not callable(value)]
    assert not any("CANARY" in text for text in held)
