"""Evidence of exceptions: by attribute, without content."""

import errno
import io
import urllib.error
from http import HTTPStatus

import pytest

from agenttracer._evidence import evidence_of


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


@pytest.mark.parametrize(
    ("value", "found"), [("2", 2), ("0.2", 1), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("-1", None), ("9" * 40, None)]
)
def test_retry_after_is_a_number_of_seconds_or_absent(value: str, found: object) -> None:
    """Only the numeric form of the header is read, rounded up."""
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
