"""Reads whether a text tells of an error, and of which: it answers words of a closed table and nothing else.

Tools mostly return their errors, and providers say in a message what their codes do not. The text is read in the process that
has it, for the moment of the call: nothing here keeps, logs or passes on any of it. Whatever its length, only the beginning and
the end are looked at, by searches whose time grows with that part alone.
"""

from typing import Final

from agenttracer.rules.errors.codes import ErrorReading, exit_code, known, message_code, of_status, reading, status_in
from agenttracer.rules.errors.openings import ends_as_error, exit_status, opens_as_error, stack_begins, unwrapped
from agenttracer.rules.errors.structures import bot_check, error_heading, json_error, json_reason
from agenttracer.rules.errors.text import HEAD_CHARS, PROSE_MAX, TAIL_CHARS, TRACEBACK, both_ends, flat
from agenttracer.wire.vocabulary import FailureCode

MESSAGE_CHARS: Final = 2_400
"""Of an exception's message, from both ends."""


def read_message(text: str) -> str | None:
    """The code of an exception's message or a span's description; None when the table does not know it."""
    return message_code(flat(both_ends(text, MESSAGE_CHARS // 2)))


_GENERIC: Final = frozenset(
    {
        *("", "invalid_request_error", "invalid_argument", "validationexception", "badrequest", "bad_request", "invalid_request"),
        *(
            "failed_precondition",
            "api_error",
            "invalid_prompt",
            "unavailable",
            "error",
            "400",
            "422",
            "500",
            "unknown",
            "none",
            "null",
            "internal",
            "_other",
        ),
    }
)
"""Codes that a provider gives to many different errors: its message says more."""
_ALWAYS: Final = frozenset({FailureCode.QUOTA_EXCEEDED, FailureCode.CONTEXT_OVERFLOW, FailureCode.CONTENT_FILTERED})
_REFINED: Final[dict[int, frozenset[FailureCode]]] = {
    401: frozenset({FailureCode.QUOTA_EXCEEDED}),
    403: frozenset({FailureCode.QUOTA_EXCEEDED, FailureCode.CONTENT_FILTERED, FailureCode.RATE_LIMITED}),
    404: frozenset({FailureCode.TOOL_NOT_FOUND}),
    429: frozenset({FailureCode.QUOTA_EXCEEDED, FailureCode.CONTEXT_OVERFLOW}),
    **{status: frozenset() for status in (402, 407, 408, 409, 410, 412, 423, 499, 504, 524)},
}
"""Statuses that say enough by themselves, and what a message may still add to them."""
_CLEAR_CLASSES: Final = (
    *("timeout", "timedout", "ratelimit", "authentication", "permission", "notfound", "cancelled", "conflict"),
    *("validation", "decodeerror", "parseerror", "parsererror"),
)
"""Parts of classes that say enough, but for what a provider says of its own limits."""
_OWN_CLASSES: Final = frozenset(
    {
        *("KeyError", "AttributeError", "NameError", "UnboundLocalError", "IndexError", "AssertionError", "ZeroDivisionError"),
        *("ImportError", "ModuleNotFoundError", "FileNotFoundError", "FileExistsError", "NotImplementedError", "RecursionError"),
        *(
            "SyntaxError",
            "IndentationError",
            "StopIteration",
            "StopAsyncIteration",
            "MemoryError",
            "ReferenceError",
            "RangeError",
        ),
    }
)
"""Classes of the languages themselves: their messages hold names of the agent's own, which say nothing."""
_STATUS_CHARS: Final = 200
_TOO_LARGE: Final = 413


def code_of_error(message: str, *, error_class: str | None, error_code: str | None, http_status: int | None) -> str | None:
    """The code to keep of an error: its own, unless that says little and the message tells more. The same for every way in."""
    bare = (error_class or "").rpartition(".")[2]
    if bare in _OWN_CLASSES:
        return error_code
    status = http_status or status_in(flat(message[:_STATUS_CHARS]))
    if error_code is not None and error_code.lower() not in _GENERIC and status != _TOO_LARGE:
        return error_code
    found = read_message(message)
    if found is None:
        return error_code
    allowed = frozenset({FailureCode.CONNECTION}) if bare == "TypeError" else _REFINED.get(status or 0)
    if allowed is None and any(part in bare.lower() for part in _CLEAR_CLASSES):
        allowed = _ALWAYS
    return found if allowed is None or found in allowed or found == of_status(status) else error_code


def read_output(text: str) -> ErrorReading | None:
    """What a tool returned, or wrote while it ran, as an error; None when it does not look like one."""
    body = text[:HEAD_CHARS].lstrip()
    if not body:
        return None
    exited = exit_status(body)
    if exited is not None:
        status, body = exited
        if status != 0:
            return exit_code(status, text, unwrapped(body))
    body = unwrapped(body)
    whole = len(text) <= HEAD_CHARS
    short = whole and len(body) <= PROSE_MAX and exited is None  # what ended well may say what it did not find
    if opens_as_error(body, short=short):
        return reading(text, body)
    if body[:1] in {"{", "["}:
        return _read_json(body, text)
    return _read_lines(body, text, whole=whole) or _read_page(body, short=short)


def _read_json(body: str, text: str) -> ErrorReading | None:
    short = len(text) <= PROSE_MAX
    telling = json_error(body, short=short)
    if telling is not None:
        return reading(text, telling)
    code = known(flat(body)) if short and json_reason(body) else None
    return None if code is None else ErrorReading(code)


def _read_lines(body: str, text: str, *, whole: bool) -> ErrorReading | None:
    """A traceback or a stack further down, or a failed exit at the end."""
    tail = body if whole else text[-TAIL_CHARS:]
    if ends_as_error(tail, traced=TRACEBACK in body or TRACEBACK in tail):
        return reading(text, tail)
    begins = stack_begins(body)
    return None if begins is None else reading(text, body[begins:])


def _read_page(body: str, *, short: bool) -> ErrorReading | None:
    if bot_check(body, short=short):
        return ErrorReading(FailureCode.AUTH)
    heading = error_heading(body)
    return None if heading is None else reading(heading, heading)


def read_stderr(text: str) -> ErrorReading | None:
    """As `read_output`, for what a process wrote beside its output: also its last line may open as an error."""
    found = read_output(text)
    if found is not None:
        return found
    last = text[-TAIL_CHARS:].rstrip().rpartition("\n")[2].strip()
    return reading(last, last) if opens_as_error(last, short=True) else None
