"""Results of tools that are no text: mappings, and the classes of frameworks, read by member and attribute."""

from typing import Final

from agenttracer.rules.error_reader import read_output
from agenttracer.rules.errors.codes import ErrorReading, reading
from agenttracer.rules.errors.structures import json_error
from agenttracer.rules.errors.text import PROSE_MAX


def read_result(value: object) -> ErrorReading | None:
    """As `read_output`, for a result of any type. It never raises: what cannot be read is no error."""
    try:
        return _of_value(value)
    except Exception:  # noqa: BLE001 - a property of another library may raise anything
        return None


_FLAGS: Final = ("isError", "is_error")
_TEXTS: Final = ("content", "text", "output", "result", "stderr", "stdout")
_ITEMS_MAX: Final = 4
_MEMBERS_OF_A_REASON: Final = 6


def _of_value(value: object) -> ErrorReading | None:
    if isinstance(value, str):
        return read_output(value)
    if value is None or isinstance(value, int | float | bytes):
        return None
    if isinstance(value, list | tuple):
        return _of_value(value[0]) if len(value) == 1 else None
    return _of_mapping(value) if isinstance(value, dict) else _of_object(value)


def _of_object(value: object) -> ErrorReading | None:
    if isinstance(value, BaseException):
        return reading(told := f"{type(value).__name__}: {value}", told)
    if any(getattr(value, flag, None) is True for flag in _FLAGS) or getattr(value, "status", None) == "error":
        told = _text_of(value)
        return reading(told, told)
    text = getattr(value, "text", None)
    return read_output(text) if isinstance(text, str) else None


def _of_mapping(value: dict[object, object]) -> ErrorReading | None:
    text = value.get("text")
    if value.get("type") == "text" and isinstance(text, str):
        return read_output(text)
    shown = _shown(value)
    telling = json_error(shown, short=len(value) <= _MEMBERS_OF_A_REASON)
    return None if telling is None else reading(shown, telling)


def _text_of(value: object) -> str:
    """The text in a result of a framework's own class, its beginning."""
    for name in _TEXTS:
        found = getattr(value, name, None)
        if isinstance(found, str):
            return found
        if isinstance(found, list | tuple):
            texts = (each if isinstance(each, str) else getattr(each, "text", None) for each in found[:_ITEMS_MAX])
            return "\n".join(text for text in texts if isinstance(text, str))
    return ""


def _shown(value: dict[object, object]) -> str:
    """The members of a mapping that may say that it is an error, as JSON would show them. The others are not looked at."""
    shown = ((key, value[key]) for key in value if isinstance(key, str) and key.lower().replace("_", "") in _TELLING)
    return "{" + ", ".join(f'"{key}": {_shown_value(each)}' for key, each in shown) + "}"


def _shown_value(value: object) -> str:
    if isinstance(value, str):
        return '"' + value[:PROSE_MAX].replace('"', "'") + '"'
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, dict):
        return _shown(value)
    if isinstance(value, list | tuple):
        return "[]" if not value else "[" + ", ".join(map(_shown_value, value[:_ITEMS_MAX])) + "]"
    return str(value) if isinstance(value, int | float) else "null"


_TELLING: Final = frozenset(
    {
        *("error", "errors", "exception", "fault", "err", "errormessage", "errormsg", "errorcode", "errortype", "errordetails"),
        *(
            "traceback",
            "failurereason",
            "iserror",
            "haserror",
            "failed",
            "success",
            "ok",
            "status",
            "statuscode",
            "httpstatus",
            "code",
        ),
        *("exitcode", "returncode", "exitstatus", "message", "detail", "details", "stderr", "type", "errordescription", "title"),
    }
)
"""Members of a mapping that are read, without `_` and case."""
