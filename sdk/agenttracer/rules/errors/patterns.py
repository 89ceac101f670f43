"""The table by which a text that tells of an error gets its code: versioned data, the first row that holds decides.

A row holds when one of its phrases stands anywhere in the text. Phrases are lower case with single blanks, and searched one by
one without patterns, so that no text can make the search slow. They are the words of protocols, systems, languages and
providers, never those of one tool or one agent. Each row has texts that it must and texts that it must not take
(`tests/unit/rules/error_examples.py`).
"""

from typing import Final, NamedTuple

from agenttracer.wire.vocabulary import FailureCode

VERSION: Final = 1
"""Of this table. A row that changes its meaning makes a new one."""


class Pattern(NamedTuple):
    """One row. `id` is stable."""

    id: str
    code: FailureCode
    phrases: tuple[str, ...]


FIRST: Final = (
    # What a provider says by a code or phrase of its own. It says more than the status that it comes with.
    Pattern(
        "provider.rate_limited",  # before quotas: these name a rate, whatever the sentence beside them says of a quota
        FailureCode.RATE_LIMITED,
        ("resource_exhausted", "resourceexhausted", "quota exceeded for metric", "quota exceeded for quota metric"),
    ),
    Pattern(
        "provider.context_overflow",
        FailureCode.CONTEXT_OVERFLOW,
        (
            *("context_length_exceeded", "context_window_exceeded", "model_context_window", "prompt_too_long", "context length"),
            *("context window", "context size", "maximum context", "prompt is too long", "prompt too long", "input is too long"),
            *("input too long", "too many input tokens", "maximum number of tokens", "input token count", "request_too_large"),
            *("max_tokens_exceeded", "string_above_max_length", "request too large for model", "reduce the length of the"),
            *("contextwindowexceeded", "exceed context limit", "exceeded model token limit", "error code: 413 - "),
            "maximum input length",
        ),
    ),
    Pattern(
        "provider.content_filtered",
        FailureCode.CONTENT_FILTERED,
        (
            *("content_filter", "content filter", "content_policy", "content policy", "content management policy"),
            *(
                "contentpolicyviolation",
                "responsibleaipolicy",
                "responsible_ai_policy",
                "moderation_blocked",
                "moderation system",
            ),
            *("guardrail_intervened", "guardrail intervened", "blocked by guardrail", "safety system", "safety settings"),
            *("blocked by safety", "safety filter", "prohibited_content", "finish_reason: safety", "block_reason"),
            *("prompt was flagged", "flagged as potentially violating", "violating our usage polic", "violates our usage polic"),
            *("harm_category_", "prompt was blocked", "response was blocked"),
        ),
    ),
    Pattern(
        "provider.quota_exceeded",
        FailureCode.QUOTA_EXCEEDED,
        (
            *("insufficient_quota", "exceeded your current quota", "quota_exceeded", "quotaexceeded", "quota exceeded"),
            *("exceeded quota", "exceeded your quota", "over quota", "credit balance is too low", "insufficient credit"),
            *(
                "out of credit",
                "not enough credit",
                "no credits",
                "no remaining credit",
                "billing_hard_limit",
                "billing_not_active",
            ),
            *("billing_error", "billing hard limit", "payment required", "budget has been exceeded", "budget exceeded"),
            *("exceeded budget", "spending limit", "spend limit", "monthly limit", "usage limit reached", "plan limit"),
            *("no space left on device", "disk quota", "enospc", "edquot", "servicequotaexceeded"),
        ),
    ),
    Pattern(
        "provider.rate_limited_generic",
        FailureCode.RATE_LIMITED,
        (
            *("rate_limit", "rate limit", "rate-limit", "ratelimit", "too many requests", "toomanyrequests", "throttl"),
            *("requests per minute", "requests per second", "requests per day", "tokens per minute", "request limit exceeded"),
            *("requestlimitexceeded", "slow down your requests", "slowdown", "please wait before trying again"),
        ),
    ),
)

TOOLS: Final = (
    Pattern(
        "tool.not_found",
        FailureCode.TOOL_NOT_FOUND,
        (
            *("unknown tool", "tool not found", "tool_not_found", "toolnotfound", "no such tool", "is not a valid tool"),
            *(
                "no tool named",
                "no tool called",
                "tool does not exist",
                "unrecognized tool",
                "undefined tool",
                "invalid tool name",
            ),
            *("unknown function", "no such function", ": method not found", "-32601", "command not found", "cmdlet"),
            *("is not recognized as an internal or external command", "executable file not found", "executable not found"),
            *("not found in path", "not found in $path", "is not installed", "isn't installed", "not in your path"),
            "unknown action",
        ),
    ),
    Pattern(
        "tool.unavailable",
        FailureCode.TOOL_UNAVAILABLE,
        (
            *("tool is unavailable", "tool unavailable", "tool is not available", "tool is currently unavailable"),
            *("tool is disabled", "tool has been disabled", "tool is not enabled", "tool_unavailable", "mcp server is not"),
            *("mcp server not", "server is not connected", "server not initialized", "not connected to any server"),
            *(
                "browser has been closed",
                "browser is not",
                "browser was closed",
                "target closed",
                "page crashed",
                "page has been closed",
            ),
            *(
                "executable doesn't exist at",
                "browsertype.launch",
                "session not created",
                "chrome not reachable",
                "no such window",
            ),
            *("invalid session id", "sandbox is not", "sandbox not found", "kernel died", "kernel is not", "dead kernel"),
            *("not available in this environment", "is not configured", "not been configured"),
        ),
    ),
)

REST: Final = (
    # Timeouts before connections: a connect timeout is both, and the remedy is the timeout's.
    Pattern(
        "text.timeout",
        FailureCode.TIMEOUT,
        (
            *(
                "timed out",
                "timeout exceeded",
                "timeout error",
                "timeouterror",
                "timeoutexception",
                "timeout of ",
                "timeout after",
            ),
            *("timeout while", "timeout waiting", "timeout expired", "timeout reached", "request timeout", "gateway timeout"),
            *(
                "gateway time-out",
                "connect timeout",
                "connection timeout",
                "read timeout",
                "navigation timeout",
                "statement timeout",
            ),
            *(
                "lock wait timeout",
                "execution timeout",
                "deadline exceeded",
                "deadline_exceeded",
                "deadlineexceeded",
                "etimedout",
            ),
            *(
                "took too long",
                "time limit exceeded",
                "exceeded the time limit",
                "modeltimeoutexception",
                "timeout:",
                "err_timed_out",
            ),
            *("exceeded the timeout", "exceeded timeout", "operation timeout"),
        ),
    ),
    Pattern(
        "text.bot_check",
        FailureCode.AUTH,
        (
            *("captcha", "are you a robot", "not a robot", "robot check", "you are human", "you are a human", "you're human"),
            *(
                "checking your browser",
                "just a moment...",
                "attention required!",
                "unusual traffic from",
                "pardon our interruption",
            ),
            *("you have been blocked", "access to this page has been denied", "javascript and cookies to continue"),
            *("checking if the site connection is secure", "ddos protection by", "bot detect", "automated access"),
        ),
    ),
    Pattern(
        "text.auth",
        FailureCode.AUTH,
        (
            *(
                "unauthorized",
                "unauthorised",
                "not authorized",
                "not authorised",
                "unauthenticated",
                "authentication",
                "authenticate",
            ),
            *("api key", "api_key", "apikey", "credential", "invalid token", "invalid_token", "invalid_grant", "token expired"),
            *("expired token", "token has expired", "expiredtoken", "invalid access token", "access denied", "accessdenied"),
            *("access is denied", "permission denied", "permission_denied", "permissiondenied", "permissionerror"),
            *("insufficient permission", "insufficient privilege", "insufficient scope", "insufficient_scope", "have permission"),
            *("not permitted", " eacces", " eperm", "forbidden", "login required", "logged in", "log in to", "please log in"),
            *("sign in to", "please sign in", "signed in", "login failed", "incorrect password", "wrong password"),
            *("invalid password", "invalid username", "signature does not match", "signaturedoesnotmatch", "signaturemismatch"),
            *("invalidclienttokenid", "unrecognizedclient", "subscription required", "members only", "subscribers only"),
        ),
    ),
    Pattern(
        "text.connection",
        FailureCode.CONNECTION,
        (
            *("connection refused", "connection reset", "connection aborted", "connection closed", "connection was closed"),
            *("connection error", "connectionerror", "connection lost", "connection failed", "connection was refused"),
            *("connecterror", "failed to connect", "could not connect", "cannot connect", "can't connect", "unable to connect"),
            *("failed to establish", "econnrefused", "econnreset", "econnaborted", " enotfound", "eai_again", "ehostunreach"),
            *("enetunreach", " epipe", "broken pipe", "name or service not known", "name resolution", "nodename nor servname"),
            *(
                "getaddrinfo",
                "could not resolve",
                "couldn't resolve",
                "no route to host",
                "network is unreachable",
                "no such host",
            ),
            *("host is unreachable", "network error", "networkerror", "fetch failed", "failed to fetch", "socket hang up"),
            *(
                "server disconnected",
                "remote end closed",
                "remotedisconnected",
                "max retries exceeded",
                "connection attempts failed",
            ),
            *("certificate verify", "certificate has expired", "certificate error", "self-signed certificate", "ssl certificate"),
            *(
                "certificateerror",
                "err_cert",
                "tls handshake",
                "sslerror",
                "[ssl",
                "ssl:",
                "net::err_",
                "ns_error_",
                "peer closed connection",
            ),
            *("incomplete chunked read", "proxy error", "proxyerror", "is the server running", "lost connection to"),
            *("server closed the connection", "site can't be reached", "unable to reach", "could not reach"),
        ),
    ),
    Pattern(
        "text.server_error",
        FailureCode.SERVER_ERROR,
        (
            *("internal server error", "internal_server_error", "internalservererror", "internal_error", "internal error"),
            *("server error", "server_error", "overloaded", "service unavailable", "serviceunavailable", "service_unavailable"),
            *("bad gateway", "temporarily unavailable", "currently unavailable", "try again later", "upstream", "backend error"),
            *("modelerrorexception", "modelnotready", "api_error", "server had an error", "server is busy", "-32603"),
            *("under maintenance", "serverexception", "service is not available"),
        ),
    ),
    # The arguments of a call before the form of data: both speak of validation.
    Pattern(
        "text.arguments",
        FailureCode.INVALID_INPUT,
        (
            *("invalid params", "invalid parameter", "invalid argument", "-32602", "input validation error", "invalid_arguments"),
            *("required positional argument", "unexpected keyword argument", "positional arguments but", "missing required"),
            *("is a required property", "did not match expected schema", "tool input", "cannot be empty", "cannot be null"),
            *("cannot be none", "cannot be blank", "cannot be negative", "cannot be zero", "cannot be in the past"),
            *("cannot be greater", "cannot be less", "cannot be before", "cannot be after", "can't be empty", "can't be blank"),
        ),
    ),
    Pattern(
        "text.schema_invalid",
        FailureCode.SCHEMA_INVALID,
        (
            *("jsondecodeerror", "json decode", "invalid json", "not valid json", "malformed json", "end of json input"),
            *("json parse", "parse json", "parsing json", "in json at position", "is not valid json", "expecting value: line"),
            *(
                "failed to parse",
                "could not parse",
                "cannot parse",
                "can't parse",
                "unable to parse",
                "parsing error",
                "parsererror",
            ),
            *("outputparser", "output parser", "malformed_function_call", "json_validate_failed", "tool_use_failed"),
            *(
                "schema validation",
                "does not match schema",
                "does not match the schema",
                "validation error for",
                "validationerror",
            ),
            *(
                "cannot identify image",
                "can't decode byte",
                "unicodedecodeerror",
                "invalid utf-8",
                "not well-formed",
                "mismatched tag",
            ),
            *("-32700", "cannot decode", "could not decode", "failed to decode", "invalid xml", "invalid yaml", "badzipfile"),
            *("not a zip file", "invalid pdf", "corrupt", "unexpected content type", "cannot unmarshal", "failed to deserialize"),
        ),
    ),
)

CODE: Final = Pattern(
    "code.error",
    FailureCode.CODE_ERROR,
    (
        *("syntaxerror", "indentationerror", "taberror", "nameerror", "typeerror", "keyerror", "attributeerror", "indexerror"),
        *("zerodivisionerror", "unboundlocalerror", "assertionerror", "recursionerror", "referenceerror", "rangeerror"),
        *("notimplementederror", "syntax error", "invalid syntax", "unexpected indent", "unterminated string", "unexpected eof"),
        *("unexpected token", "is not defined", "is not a function", "cannot read propert", "undefined is not", "nullpointer"),
        *(
            "null pointer",
            "nil pointer",
            "arrayindexoutofbounds",
            "classcastexception",
            "arithmeticexception",
            "index out of range",
        ),
        *("index out of bounds", "division by zero", "divided by zero", "cannot find symbol", "undeclared", "undefined:"),
        *("undefined variable", "undefined method", "undefined local variable", "no such column", "unknown column"),
        *("invalid column name", "error in your sql syntax", "error[e0", "error ts", "segmentation fault", "compilation failed"),
        *("compilation error", "compile error", "runtime error", "panic: ", "panicked at", "nomethoderror", "parse error"),
        *(
            "has no attribute",
            "argumenterror",
            "interpretererror",
            "code execution failed",
            "unboundvariable",
            "unbound variable",
        ),
    ),
)
"""Errors of code that a model wrote. Looked for in what a tool returned, never in the message of an exception."""

DOMAIN: Final = (
    Pattern(
        "text.not_found",
        FailureCode.NOT_FOUND,
        (
            *("not found", "notfound", "not_found", "no such", "nosuch", "does not exist", "doesn't exist", "do not exist"),
            *("cannot find", "could not find", "couldn't find", "can't find", "unable to find", "unable to locate", "enoent"),
            *(
                "could not locate",
                "cannot locate",
                "cannot be found",
                "could not be found",
                "couldn't be found",
                "can't be found",
            ),
            *(
                "no module named",
                "no matching",
                "nonexistent",
                "non-existent",
                "no longer exists",
                "doesnotexist",
                "invalid object name",
            ),
            *("no record", "unknown user", "unknown id", "unknown database", "unknown host", "not a git repository"),
            *("cannot find module", "unresolved import", "is not known", "cannot access"),
        ),
    ),
    Pattern(
        "text.conflict",
        FailureCode.CONFLICT,
        (
            *("already", "duplicate"),
            *("conflict", "unique constraint", "integrity constraint", "foreign key constraint", "integrityerror", "deadlock"),
            *("could not serialize", "has been modified", "modified since", "version mismatch", "is locked", "in use", "eexist"),
            *("not available", "no longer available", "unavailable", "sold out", "out of stock", "insufficient", "not enough"),
            *("cannot be ", "can not be ", "can't be ", "may not be ", "not eligible", "ineligible", "not refundable"),
            *("has expired", "is expired", "is closed", "is inactive", "is suspended", "fully booked", "overlap", "too late"),
            *("exceeds the available", "exceeds available", "precondition", "not pending", "non-pending", "only pending"),
            *("current state", "current status", "balance is", "is not in a state", "directory not empty", "past the deadline"),
        ),
    ),
    Pattern(
        "text.invalid_input",
        FailureCode.INVALID_INPUT,
        (
            *("invalid", "must be", "must have", "must match", "must not", "must contain", "must provide", "must specify"),
            *("should be", "should match", "should not", "should have", "required", "missing", "expected", "does not match"),
            *("do not match", "doesn't match", "mismatch", "add up", "not supported", "unsupported", "doesn't support"),
            *("does not support", "unknown ", "unrecognized", "unrecognised", "malformed", "out of range", "out of bounds"),
            *(
                "bad request",
                "bad_request",
                "badrequest",
                "not a valid",
                "not valid",
                "illegal",
                "too long",
                "too short",
                "too large",
            ),
            *("too small", "too many", "too few", "exceeds", "at least", "at most", "wrong ", "incorrect", "ambiguous"),
            *(
                "unprocessable",
                "validation",
                "not allowed",
                "not an integer",
                "not a number",
                "usage: ",
                "valueerror",
                "bad value",
            ),
        ),
    ),
    Pattern("text.cancelled", FailureCode.CANCELLED, ("cancelled", "canceled", "keyboardinterrupt", "aborted by", "aborterror")),
)
