"""What an exception says of itself beyond its class: codes that providers keep in other places, and the words of its message.

The message is read in memory, by a closed table, and only the table's word leaves (`rules.error_reader`). Nothing of it is kept.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from agenttracer.wire.form import NAME_MAX_CHARS, is_name

if TYPE_CHECKING:
    from agenttracer.wire.events import Evidence

_ATTRIBUTES: Final = ("type", "status", "reason", "error_type")
"""Where clients keep a provider's code: openai and anthropic, google-genai, google-api-core."""
_MEMBERS: Final = ("code", "type", "status")
"""Of an error in the body of an answer."""


def refined(found: "Evidence", error: BaseException) -> "Evidence":
    """`found` with the code that says most. Never raises."""
    from agenttracer.rules.error_reader import code_of_error  # noqa: PLC0415 - loaded by the first error
    from agenttracer.wire.events import Evidence  # noqa: PLC0415 - loaded by the first tracer, not by importing the SDK

    try:
        code = found.error_code or next(_known_codes(error), None)
        code = code_of_error(str(error), error_class=found.error_class, error_code=code, http_status=found.http_status)
    except Exception:  # noqa: BLE001 - a class of another library may raise anything
        return found
    if code == found.error_code:
        return found
    return Evidence(
        error_class=found.error_class,
        error_code=code,
        http_status=found.http_status,
        errno=found.errno,
        retry_after_s=found.retry_after_s,
    )


def _known_codes(error: BaseException) -> Iterator[str]:
    """Codes of a provider that the table knows, from the places where clients keep them."""
    from agenttracer.rules.error_reader import read_message  # noqa: PLC0415 - as above

    for value in _candidates(error):
        text = str.__str__(value) if issubclass(type(value), str) else ""  # a subclass may override __str__
        if 0 < len(text) <= NAME_MAX_CHARS and is_name(text) and read_message(text) is not None:
            yield text


def _candidates(error: BaseException) -> Iterator[object]:
    yield from (getattr(error, name, None) for name in _ATTRIBUTES)
    body = getattr(error, "body", None)
    for part in (body.get("error"), body) if isinstance(body, dict) else ():
        if isinstance(part, dict):
            yield from map(part.get, _MEMBERS)
    code = getattr(error, "code", None)
    if callable(code):  # gRPC: a status with a name
        yield getattr(code(), "name", None)
