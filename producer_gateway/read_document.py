"""Bytes to a run document, and pydantic's objections to fields and rules. pydantic's own texts echo input; none is used."""

from collections.abc import Mapping
from typing import Final

from pydantic import BaseModel, ValidationError

from producer_gateway.errors import NotJsonError, UnprocessableError
from producer_gateway.run_document import FailureDocument, RunDocument, StepDocument

_RULES: Final[Mapping[str, str]] = {
    "missing": "missing",
    "extra_forbidden": "unknown_member",
    "enum": "unknown_value",
    "string_pattern_mismatch": "run_id",
    "timezone_aware": "offset_missing",
    "greater_than_equal": "range",
    "less_than_equal": "range",
    "finite_number": "range",
    "too_long": "range",
}


def _names(*models: type[BaseModel]) -> frozenset[str]:
    return frozenset({name for model in models for name in model.model_fields} | {"step_type"})


_OUR_NAMES: Final = _names(RunDocument, StepDocument, FailureDocument)


def read_document(body: bytes) -> RunDocument:
    """Raises NotJsonError, or UnprocessableError with the first field at fault and its rule."""
    try:
        return RunDocument.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        raise NotJsonError
    raise UnprocessableError(field=_path(first["loc"]) or None, code=_rule(first["type"]))


def _path(loc: tuple[int | str, ...]) -> str:
    """As far as it is made of our own names: the rest is the sender's, such as a key of metadata or an unknown member."""
    path = ""
    for part in loc:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part in _OUR_NAMES:
            path += f".{part}" if path else part
        else:
            break
    return path


def _rule(pydantic_type: str) -> str:
    if pydantic_type.startswith("datetime"):
        return "time"
    return _RULES.get(pydantic_type, "type")
