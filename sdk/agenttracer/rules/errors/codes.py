"""Which code an error has, by the words of the part that tells of it, by a status in it, or by the class that was raised."""

import builtins
from collections.abc import Iterable
from functools import cache
from typing import Final, NamedTuple

from agenttracer.rules.errors import patterns as table
from agenttracer.rules.errors.text import HEAD_CHARS, PROSE_MAX, TRACEBACK, both_ends, flat, pattern
from agenttracer.wire.vocabulary import FailureCode


class ErrorReading(NamedTuple):
    """The code of an error that was found in a text, and its class, if that is one of Python's or JavaScript's own."""

    code: str
    error_class: str | None = None


ALL_ROWS: Final = (*table.FIRST, *table.TOOLS, *table.REST, table.CODE, *table.DOMAIN)
_BEFORE_STATUS: Final = (*table.FIRST, *table.TOOLS)
_OF_EXIT: Final = {127: FailureCode.TOOL_NOT_FOUND, 124: FailureCode.TIMEOUT}
"""Exit statuses by which a shell says what was the matter, whatever else was written."""
_DENIED: Final = 126


def message_code(told: str) -> str | None:
    """The code of words that are known to tell of an error, where no code was run. They are flat."""
    return first_of(_BEFORE_STATUS, told) or of_status(status_in(told)) or first_of((*table.REST, *table.DOMAIN), told)


def exit_code(status: int, text: str, telling: str) -> ErrorReading:
    """As `reading`, of a program that ended with this status."""
    if status in _OF_EXIT:
        return ErrorReading(_OF_EXIT[status])
    found = reading(text, telling)
    return ErrorReading(FailureCode.AUTH) if found.code == FailureCode.TOOL_ERROR and status == _DENIED else found


def reading(text: str, telling: str) -> ErrorReading:
    """The code of a text that tells of an error, the telling part of which is this."""
    ends = both_ends(text, HEAD_CHARS)
    traced = TRACEBACK in ends or ('File "' in ends and '", line ' in ends)
    raised = _raised_last(ends) if traced else _opening_class(telling)
    if raised is not None:
        return raised
    part = telling if len(telling) <= PROSE_MAX else f"{telling[:PROSE_MAX]}\n{text[-PROSE_MAX // 2 :]}"
    told = flat(part)
    code = FailureCode.TOOL_NOT_FOUND if pattern(_TOOL_MISSING).search(told) is not None else known(told)
    if code in {FailureCode.INVALID_INPUT, FailureCode.CONFLICT} and (traced or len(told) > _SENTENCES_MAX):
        code = None  # words that mean something in a sentence, and nothing among many lines
    if code is None and traced:
        code = FailureCode.CODE_ERROR
    named = pattern(_NAMED_CLASS).search(part)
    return ErrorReading(code or FailureCode.TOOL_ERROR, None if named is None else _language_class(named[1]))


def known(told: str) -> str | None:
    """The code of flat words by the whole table; None where no row holds."""
    return first_of(_BEFORE_STATUS, told) or of_status(status_in(told)) or first_of(ALL_ROWS, told)


def first_of(rows: Iterable[table.Pattern], told: str) -> str | None:
    """The code of the first row that holds."""
    return next((row.code for row in rows if any(phrase in told for phrase in row.phrases)), None)


_TOOL_MISSING: Final = (
    r"\b(?:tool|command|program)\b[^\n.:;]{0,48}\b(?:not found|does not exist|is not (?:registered|defined|known|recognized))"
)
_SENTENCES_MAX: Final = 400
_RAISED: Final = (
    r"(?m)^(?:[A-Za-z_][\w]{0,40}\.){0,6}([A-Z]\w{0,60}(?:Error|Exception|Exit|Interrupt|Timeout|NotFound|"
    r"Iteration))(?::[ ]?([^\n]{0,300})|[ ]*$)"
)
_NAMED_CLASS: Final = r"\b([A-Z]\w{0,40}(?:Error|Exception))\b"
_OF_CODE: Final = frozenset(
    {
        *("SyntaxError", "IndentationError", "TabError", "NameError", "UnboundLocalError", "TypeError", "ValueError", "KeyError"),
        *("IndexError", "AttributeError", "ZeroDivisionError", "AssertionError", "RecursionError", "NotImplementedError"),
        *("OverflowError", "ArithmeticError", "FloatingPointError", "StopIteration", "StopAsyncIteration", "RuntimeError"),
        *("LookupError", "BufferError", "EOFError", "ReferenceError", "RangeError"),
    }
)
"""Classes of the languages themselves for what is wrong with the code that ran."""
_OF_ANYTHING: Final = frozenset({"ValueError", "RuntimeError", "LookupError", "EOFError"})
"""Of these, what tools raise for whatever went wrong: without a traceback their words decide."""
_OF_CLASS: Final = (
    # Parts of other classes' names; the first that holds decides.
    (FailureCode.TIMEOUT, ("timeout", "timedout")),
    (FailureCode.RATE_LIMITED, ("ratelimit", "toomanyrequests", "throttl")),
    (FailureCode.AUTH, ("permission", "authentication", "unauthorized", "forbidden", "credential", "accessdenied")),
    (FailureCode.TOOL_NOT_FOUND, ("executablenotfound", "toolnotfound", "programnotfound", "commandnotfound")),
    (FailureCode.NOT_FOUND, ("notfound", "importerror", "doesnotexist", "nosuch")),
    (
        FailureCode.SCHEMA_INVALID,
        ("decodeerror", "unidentifiedimage", "parsererror", "parseerror", "validationerror", "schemaerror"),
    ),
    (FailureCode.CONNECTION, ("connection", "connecterror", "gaierror", "sslerror", "urlerror", "brokenpipe", "protocolerror")),
    (FailureCode.QUOTA_EXCEEDED, ("memoryerror", "quota")),
    (FailureCode.CANCELLED, ("keyboardinterrupt", "cancelled")),
    (FailureCode.CONFLICT, ("fileexists", "integrityerror", "conflict")),
)


def _opening_class(text: str) -> ErrorReading | None:
    """The class that a text opens with, where that says more than its words."""
    found = pattern(_RAISED).match(text[:PROSE_MAX])
    if found is None:
        return None
    lowered = found[1].lower()
    told = flat(found[2] or "")
    by_class = next((code for code, parts in _OF_CLASS if any(part in lowered for part in parts)), None)
    code: str | None = by_class or _told_of(told)
    if code is None and found[1] in _OF_CODE and found[1] not in _OF_ANYTHING:
        code = FailureCode.CODE_ERROR
    return None if code is None else ErrorReading(code, _language_class(found[1]))


def _raised_last(text: str) -> ErrorReading | None:
    """The last exception that a traceback names: earlier ones only led to it."""
    raised = pattern(_RAISED).findall(text)
    if not raised:
        return None
    name, words = raised[-1]
    own = _language_class(name)
    if name in _OF_CODE:
        return ErrorReading(FailureCode.CODE_ERROR, own)
    lowered = name.lower()
    code = next((code for code, parts in _OF_CLASS if any(part in lowered for part in parts)), None)
    told = flat(words)
    if code == FailureCode.NOT_FOUND and _runs_programs(text):
        code = FailureCode.TOOL_NOT_FOUND
    return ErrorReading(code or _told_of(told) or FailureCode.CODE_ERROR, own)


def _told_of(told: str) -> str | None:
    return first_of(_BEFORE_STATUS, told) or of_status(status_in(told)) or first_of(table.REST, told)


def _runs_programs(text: str) -> bool:
    """Whether a file that was not found is a program that was to be started."""
    return "subprocess.py" in text or "_execute_child" in text


@cache
def _language_classes() -> frozenset[str]:
    found = {name for name, value in vars(builtins).items() if isinstance(value, type) and issubclass(value, BaseException)}
    return frozenset(
        found | {"ReferenceError", "RangeError", "EvalError", "URIError", "JSONDecodeError", "HTTPError", "URLError"}
    )


def _language_class(name: str) -> str | None:
    """The class, if it is one of Python's or JavaScript's own: any other one may be a word of somebody's."""
    return name if name in _language_classes() else None


_STATUS: Final = (
    r"(?:\bstatus(?:[ _-]?code)?|\bhttp(?:/\d(?:\.\d)?)?(?: error| status)?(?: code)?|\berror(?: code)?|\bcode|"
    r"\breturned|\bresponse(?: code)?)"
    r"[\"':=\s(\[]{1,5}([1-5]\d\d)\b|"
    r"\b([45]\d\d)[\s:,-]{1,3}(?:client error|server error|error|not found|forbidden|unauthorized|too many|"
    r"bad request|internal|service unav|"
    r"bad gateway|gateway|conflict|gone|payment|method not|unprocessable|request time|resource_|invalid_|unavailable|"
    r"permission_|unauthenticated)|"
    r"^\W{0,3}([45]\d\d)\b"
)
_CODES: Final[dict[int, str]] = {
    **dict.fromkeys((408, 504, 524), FailureCode.TIMEOUT),
    429: FailureCode.RATE_LIMITED,
    402: FailureCode.QUOTA_EXCEEDED,
    **dict.fromkeys((401, 403, 407, 511), FailureCode.AUTH),
    **dict.fromkeys((404, 410), FailureCode.NOT_FOUND),
    **dict.fromkeys((409, 412, 423), FailureCode.CONFLICT),
    499: FailureCode.CANCELLED,
}


def status_in(told: str) -> int | None:
    """The HTTP status that flat words name."""
    found = pattern(_STATUS).search(told)
    return None if found is None else int(found[1] or found[2] or found[3])


def of_status(status: int | None) -> str | None:
    """The code of an HTTP status of failure. 400 and 422 say too little: the words decide."""
    if status is None:
        return None
    return _CODES.get(status) or (FailureCode.SERVER_ERROR if status >= 500 else None)  # noqa: PLR2004 - HTTP's
