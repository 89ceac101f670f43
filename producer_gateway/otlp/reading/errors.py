"""What a span says of an error: its evidence, and the error that a tool returned.

Texts are looked at by the closed table of `agenttracer.rules.error_reader`, whose word alone is kept.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final, cast

from agenttracer.rules.error_classes import error_class, is_code
from agenttracer.rules.error_reader import code_of_error, read_output
from agenttracer.wire.events import Evidence, ReturnedError
from producer_gateway.otlp import attributes
from producer_gateway.otlp.mapping import ROWS
from producer_gateway.otlp.span import DecodedSpans, Span
from producer_gateway.otlp.values import OTHER_ERROR, status
from servicekit import codec

_EVIDENCE: Final[Any] = codec.struct_of(Evidence)
_RETURNED: Final[Any] = codec.struct_of(ReturnedError)
_TEXTS: Final = frozenset({"@result", "@answer"})
_CLIENT_ERROR: Final = 400
_TOOL_ERROR: Final = "tool_error"
"""`error.type` of a call whose result says `isError`, by OpenTelemetry's conventions for MCP."""


def evidence_of(span: Span, marks: Mapping[str, Any], http_status: int | None, dropped: Counter[str]) -> Evidence | None:
    """The exception's class, else `error.type` where that is one; codes are words in one case, statuses digits.

    JavaScript's SDK says a code in place of the class where the error has one.
    """
    said, raised = marks.get("@error_type"), error_class(span.exception_type)
    if span.exception_type and raised is None:
        dropped["name"] += 1
    words = [word for word in (said, raised) if word is not None and word != OTHER_ERROR]
    codes = [word for word in words if is_code(word)]
    named = next((word for word in reversed(words) if word not in codes), None)
    if named is None and raised is not None and not raised.isdigit():
        named = raised
    http_status = http_status or next(filter(None, map(status, codes)), None)
    code = next((word for word in codes if not word.isdigit()), marks.get("@error_code"))
    if span.message:
        code = code_of_error(span.message, error_class=named, error_code=code, http_status=http_status)
    if named is None and code is None and http_status is None:
        return None
    return cast("Evidence", _EVIDENCE(error_class=named, error_code=code, http_status=http_status))


def returned_error(marks: Mapping[str, Any], http_status: int | None) -> ReturnedError | None:
    """Of a tool whose call went well: a flag, a status or the result's own text says that it returned an error."""
    text = text_of(marks.get("@result"))
    found = read_output(text) if text else None
    flagged = marks.get("@returned") is True or marks.get("@error_type") == _TOOL_ERROR
    failed = http_status is not None and http_status >= _CLIENT_ERROR
    if found is None and not flagged and not failed:
        return None
    code, named = (None, None) if found is None else (str(found.code), found.error_class)
    return cast("ReturnedError", _RETURNED(code=code, http_status=http_status if failed else None, error_class=named))


def text_of(value: object) -> str:
    """The text of a target of content: in protobuf it has not been decoded yet."""
    if isinstance(value, bytes):
        value = attributes.pair(value)[1]
    return value if isinstance(value, str) else ""


def forget_texts(decoded: DecodedSpans) -> None:
    """Drop messages of exceptions, descriptions, results of tools and answers of models."""
    for part in decoded.parts:
        for span in part.spans:
            span.message = ""
            if span.placed is not None:
                for target in _TEXTS:
                    span.placed.marks.pop(target, None)
            if span.said:
                span.said = {name: value for name, value in span.said.items() if ROWS[name].target not in _TEXTS}
