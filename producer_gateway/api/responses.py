"""The gateway's answers as models: what a client may rely on, and what the OpenAPI document shows."""

from typing import Any, Final

from pydantic import BaseModel, Field

from servicekit.http.error_handlers import ErrorAnswer


class RejectedItem(BaseModel):
    """An item that was not accepted and never will be as it is."""

    index: int = Field(description="Its index in the request's `events`.")
    field: str = Field(description="Path of the member at fault; empty for the item as a whole.")
    code: str = Field(description="The rule that it breaks.")


class EventsAccepted(BaseModel):
    """The fate of a batch. Accepted events are durable."""

    accepted: int
    rejected: list[RejectedItem]
    dropped: dict[str, int] = Field(description="Values left out of accepted events, or replaced, by the rule they broke.")


class RunAccepted(BaseModel):
    """The run is durable under this id."""

    run_id: str
    accepted: int = Field(description="Events that the document became.")
    dropped: dict[str, int] = Field(description="Values left out, or replaced, by the rule they broke.")


class IngestErrorAnswer(ErrorAnswer):
    """Every answer that is no success."""

    rejected: list[RejectedItem] | None = Field(default=None, description="When no item could be accepted: why.")
    supported: str | None = Field(default=None, description="With `unsupported_version`: the versions that are read.")


_SENTENCES: Final = {
    400: "Not JSON, not gzip or zstd though it says so, or a version that this gateway does not read.",
    401: "No API key, or none that is alive: unknown, malformed, revoked and expired ones are answered alike.",
    403: "The API key lacks the scope `ingest`.",
    408: "The head or the body did not arrive in time.",
    413: "The body, or what it inflates to, is too large: split it.",
    415: "Not application/json, or an encoding other than one layer of gzip or zstd.",
    422: "The named field breaks the named rule; of a batch, nothing at all could be accepted.",
    429: "The key has sent more than it may. Nothing was taken: send the same ids again after Retry-After seconds.",
    431: "Address and headers are too large.",
    503: "The log did not acknowledge, or too much is in flight. The outcome is unknown: send the same ids again after "
    "Retry-After seconds.",
}
ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    status: {"model": IngestErrorAnswer, "description": sentence} for status, sentence in _SENTENCES.items()
}
