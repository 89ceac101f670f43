"""Words that a closed project takes without being told: the contract's own, those of conventions, classes of well-known errors.

A closed list: nothing of it comes from a sender, and no sentence can be made of it.
"""

import builtins
import re
from typing import Final

from agenttracer.rules.names.fit import REDACTED_CODE, REGISTERED_KEYS
from agenttracer.rules.span_attributes import COUNTS, LABELS
from agenttracer.rules.span_kinds import (
    COMPONENTS,
    OPENINFERENCE,
    OPERATIONS,
    PROTOCOLS,
    REQUEST_TYPES,
    SPAN_TYPES,
    TRACELOOP,
    VERCEL,
)
from agenttracer.wire.vocabulary import RESERVED_NAMES, FailureCode, StepKind

KEYS: Final = frozenset(
    {
        *REGISTERED_KEYS,
        *LABELS,
        *COUNTS,
        *("http_status", "temperature", "top_p", "streamed", "time_to_first_chunk_s", "result_count", "evaluation_score"),
        *("guardrail_triggered", "documents_found"),
    }
)
"""Keys of metadata that the SDK's integrations and the mapping of spans write."""
CODES: Final = frozenset({*map(str, FailureCode), REDACTED_CODE, "unspecified"})
_KINDS: Final = (OPERATIONS, OPENINFERENCE, TRACELOOP, VERCEL, SPAN_TYPES, COMPONENTS, REQUEST_TYPES, PROTOCOLS)
_ERRORS: Final = """
APIConnectionError APIError APIResponseValidationError APIStatusError APITimeoutError AuthenticationError BadRequestError
ClientConnectorError ClientError ClientResponseError ConflictError ConnectError ConnectTimeout ContentFilterFinishReasonError
ContextWindowExceededError DeadlineExceeded GraphRecursionError HTTPError HTTPStatusError InternalServerError JSONDecodeError
LengthFinishReasonError MaxTurnsExceeded ModelBehaviorError NetworkError NotFoundError OperationalError OutputParserException
OverloadedError PermissionDeniedError PoolTimeout ProgrammingError ProtocolError RateLimitError ReadError ReadTimeout
RemoteProtocolError RequestException ResourceExhausted ServiceUnavailable ServiceUnavailableError ServerDisconnectedError
SSLError ToolException UnprocessableEntityError UserError ValidationError WriteTimeout
"""
_ERROR_CODES: Final = """
authentication_error context_length_exceeded content_filter insufficient_quota internal_error invalid_api_key
invalid_request_error model_not_found not_found_error overloaded_error permission_error rate_limit_error rate_limit_exceeded
request_too_large server_error timeout tool_unavailable ECONNREFUSED ECONNRESET ENOTFOUND ETIMEDOUT
"""
_ENDS: Final = """
stop length tool_calls tool_call tool_use function_call content_filter end_turn max_tokens stop_sequence pause_turn refusal error
function extension datastore
"""
NAMES: Final = frozenset(
    {
        *RESERVED_NAMES,
        *CODES,
        *map(str, StepKind),
        *(known.word for table in _KINDS for known in table.values()),
        *(name for name, each in vars(builtins).items() if isinstance(each, type) and issubclass(each, BaseException)),
        *_ERRORS.split(),
        *_ERROR_CODES.split(),
        *_ENDS.split(),
        *("otlp", "unknown", "unknown_service", "span"),
    }
)
"""Names, labels and words of evidence."""
_CURRENCIES: Final = """
AED ARS AUD BDT BGN BRL CAD CHF CLP CNY COP CZK DKK EGP EUR GBP HKD HUF IDR ILS INR ISK JPY KES KRW KWD MAD MXN MYR NGN NOK NZD
PEN PHP PKR PLN QAR RON RSD SAR SEK SGD THB TRY TWD UAH USD UYU VND ZAR
"""
CURRENCIES: Final = frozenset(_CURRENCIES.split())
SDK: Final = re.compile(
    r"(?:python|otel-(?:cpp|dotnet|erlang|go|java|nodejs|php|python|ruby|rust|swift|unknown|webjs))"
    r"[-/](?:unknown|[0-9]{1,3}(?:\.[0-9]{1,3}){1,2}(?:\.?(?:a|b|rc|dev|post)[0-9]{1,3})?)"
)
"""The name and version of this SDK, or of one of OpenTelemetry's."""
