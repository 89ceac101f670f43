"""Evidence of exceptions: by attribute, without content."""

import asyncio
import errno
import io
import time
import urllib.error
from http import HTTPStatus

import pytest

from agenttracer._events.evidence import evidence_of


class Response:
    def __init__(self, status_code: int, headers: dict[str, str] | None = None) -> None:
        self.status_code = status_code
        self.headers = headers or {}


def error_with(**attributes: object) -> Exception:
    error = Exception("secret")
    error.__dict__.update(attributes)
    return error


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (error_with(status_code=429), 429),  # openai, anthropic
        (error_with(status=503), 503),  # aiohttp
        (error_with(response=Response(404)), 404),  # httpx, requests
        (error_with(response={"ResponseMetadata": {"HTTPStatusCode": 400}}), 400),  # botocore
        (urllib.error.HTTPError("http://x", 418, "m", {}, io.BytesIO()), 418),
        (error_with(status_code=HTTPStatus.GONE), 410),
        (error_with(status_code=True), None),
        (error_with(status_code=7), None),
        (error_with(status_code="429"), None),
        (SystemExit(404), None),
    ],
)
def test_http_status_is_read_where_clients_keep_it(error: BaseException, found: object) -> None:
    """The status of the well-known clients' exceptions; anything that is no status is none."""
    assert evidence_of(error).http_status == found


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (error_with(code="context_length_exceeded"), "context_length_exceeded"),
        (error_with(response={"Error": {"Code": "ThrottlingException"}}), "ThrottlingException"),
        (error_with(sqlstate="40001"), "40001"),
        (error_with(code="a sentence is no code"), None),
        (error_with(code=lambda: "x"), None),
        (error_with(code="x" * 65), None),
        (SystemExit("secret"), None),
    ],
)
def test_error_codes_have_the_form_of_names(error: BaseException, found: object) -> None:
    """A code that is not one bounded word is not a code; the argument of `sys.exit` never is."""
    assert evidence_of(error).error_code == found


@pytest.mark.parametrize(("value", "found"), [("2", 2), ("0.2", 1), ("-1", None), ("9" * 40, None)])
def test_retry_after_is_a_number_of_seconds_or_absent(value: str, found: object) -> None:
    """Rounded up; what is none is left out."""
    assert evidence_of(error_with(response=Response(429, {"retry-after": value}))).retry_after_s == found


def test_errno_and_class_are_kept() -> None:
    """An OSError says its number and class, and nothing else."""
    evidence = evidence_of(ConnectionRefusedError(errno.ECONNREFUSED, "secret", "/secret/path"))
    assert (evidence.errno, evidence.error_class) == (errno.ECONNREFUSED, "ConnectionRefusedError")
    assert "secret" not in repr(evidence)


def test_a_class_name_that_is_no_name_falls_back_or_is_left_out() -> None:
    """A class inside a function is known by its short name; one named by a sentence is not known."""

    class LocalError(Exception):
        pass

    assert evidence_of(LocalError()).error_class == "LocalError"
    assert evidence_of(type("a secret sentence", (Exception,), {})()).error_class is None


def test_attributes_that_raise_are_absent() -> None:
    """Evidence never raises, whatever an exception's properties do."""

    class HostileError(Exception):
        @property
        def response(self) -> object:
            raise RuntimeError

        status_code = code = errno = headers = retry_after = response

    assert evidence_of(HostileError()).error_class is not None


class RateLimitError(Exception):
    """As the clients of providers raise it."""

    def __init__(self, **headers: str) -> None:
        super().__init__("secret")
        self.response = Response(429, {name.replace("_", "-"): value for name, value in headers.items()})


class AgentError(Exception):
    pass


def raised_from(cause: BaseException) -> BaseException:
    error = AgentError("secret")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        ExceptionGroup("secret", [RateLimitError()]),
        ExceptionGroup("secret", [ExceptionGroup("secret", [RateLimitError()])]),
        ExceptionGroup("secret", [RateLimitError(), RateLimitError()]),
        BaseExceptionGroup("secret", [asyncio.CancelledError(), RateLimitError()]),
        ExceptionGroup("secret", [RateLimitError()] * 5_000),
    ],
)
def test_a_group_is_what_it_holds(error: BaseException) -> None:
    """A task group wraps whatever its tasks raised, in as many groups as there are around."""
    assert evidence_of(error) == evidence_of(RateLimitError())
    assert evidence_of(error).error_class == "RateLimitError"


def test_what_an_exception_does_not_say_itself_its_cause_says() -> None:
    """`raise AgentError from error` has its own class and the provider's status; what it says itself counts."""
    wrapped = evidence_of(raised_from(RateLimitError(retry_after="3")))
    assert (wrapped.error_class, wrapped.http_status, wrapped.retry_after_s) == ("AgentError", 429, 3)
    twice = evidence_of(raised_from(raised_from(ExceptionGroup("secret", [RateLimitError()]))))
    assert (twice.error_class, twice.http_status) == ("AgentError", 429)
    own = error_with(status_code=500)
    own.__cause__ = RateLimitError()
    assert evidence_of(own).http_status == 500
    handled = AgentError()
    handled.__context__ = RateLimitError()
    assert evidence_of(handled).http_status is None


def test_causes_in_a_circle_end() -> None:
    """They can be made by hand, and cost no more than others."""
    one, two = AgentError(), AgentError()
    one.__cause__, two.__cause__ = two, one
    assert evidence_of(one).error_class == "AgentError"


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ({"retry_after": "3"}, 3),
        ({"retry_after": "0.5"}, 1),
        ({"retry_after": "Wed, 21 Oct 2015 07:28:30 GMT"}, 30),
        ({"retry_after": "Wed, 21 Oct 2015 07:27:00 GMT"}, 0),
        ({"retry_after": "Thu, 29 Feb 2096 07:28:00 GMT"}, 2**31 - 1),
        ({"retry_after": "Wed, 21 Foo 2015 07:28:30 GMT"}, None),
        ({"retry_after": "next week"}, None),
        ({"retry_after_ms": "1500"}, 2),
        ({"retry_after_ms": "250", "retry_after": "9"}, 1),
        ({"retry_after_ms": "soon", "retry_after": "9"}, 9),
    ],
)
def test_retry_after_may_be_seconds_a_date_or_milliseconds(
    headers: dict[str, str], found: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole seconds from now, rounded up."""
    monkeypatch.setattr(time, "time", lambda: 1_445_412_480.5)  # 2015-10-21T07:28:00.5Z
    assert evidence_of(RateLimitError(**headers)).retry_after_s == found
