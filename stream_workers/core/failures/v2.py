"""Taxonomy 2: taxonomy 1 with what real agents showed to be missing. Rules of 1 keep their ids; here stands only what changes.

It knows the codes of our own integrations and of the reader of errors, statuses of model calls that were answered and useless,
limits that ended a run, errors of code that a model wrote, and the classes of JavaScript, Go, Java, .NET, Ruby and PHP.
"""

from collections.abc import Mapping
from typing import Final

from agenttracer.wire.vocabulary import FailureCode, FailureType, StepKind
from stream_workers.core.failures.rules import Rule, Taxonomy, When
from stream_workers.core.failures.v1 import V1

_MODEL_STEPS: Final = frozenset({StepKind.PLAN, StepKind.RESPOND})
_TOOL_STEPS: Final = frozenset({StepKind.TOOL, StepKind.RETRIEVE})
_RUNS_CODE: Final = (
    *(
        "execute_code",
        "run_code",
        "code_interpreter",
        "code_exec",
        "python",
        "jupyter",
        "notebook",
        "ipython",
        "repl",
        "interpreter",
    ),
    *(
        "run_script",
        "execute_script",
        "javascript",
        "node_eval",
        "run_sql",
        "execute_sql",
        "sql_query",
        "terminal",
        "run_command",
    ),
    *("bash", "shell", "sandbox", "codeact", "code_execution", "code-execution", "execute_command"),
)
"""Parts of names of tools that run what a model wrote."""
_SEARCHES: Final = ("search", "retriev", "lookup", "look_up", "find_", "_find", "query", "grep", "list_")
"""Parts of names of tools that look for something."""
_FILTERED: Final = frozenset(
    {"content_filter_results", "image_prohibited_content", "language", "blocked", "filtered", "model_armor"}
)
_LENGTH: Final = frozenset(
    {
        *("length", "max_tokens", "max_output_tokens", "token_limit", "max_length", "incomplete", "output_limit"),
        *("model_context_window_exceeded", "context_length_exceeded", "maxtokens"),
    }
)
_MALFORMED: Final = frozenset(
    {"malformed_function_call", "malformed_tool_call", "unexpected_tool_call", "malformed_response", "invalid_tool_call"}
)

_WORDS: Final[Mapping[str, When]] = {
    # Further words of rules of taxonomy 1, by the id of the rule.
    "finish.content_filtered": When(finish_reason=_FILTERED),
    "quiet.content_filtered": When(finish_reason=_FILTERED),
    "class.cancelled": When(
        error_class=frozenset(
            {
                *("operationcanceledexception", "taskcanceledexception", "cancellationexception", "interruptedexception"),
                *("clientdisconnect", "aborterror", "taskrevokederror", "apiuseraborterror"),
            }
        )
    ),
    "code.cancelled": When(  # as axios, Node and undici say it
        error_code=frozenset({"err_canceled", "err_cancelled", "ecanceled", "abort_err", "und_err_aborted", "err_aborted"})
    ),
    "code.context_overflow": When(error_code=frozenset({"context_overflow", "contextwindowexceedederror", "input_too_long"})),
    "code.content_filtered": When(
        error_code=frozenset({"prohibited_content", "blocklist", "recitation", "content_blocked", "safety_violation"})
    ),
    "code.quota_exceeded": When(
        error_code=frozenset({"budget_exceeded", "usage_limit_reached", "payment_required", "edquot", "enospc", "disk_full"})
    ),
    "code.rate_limited": When(
        error_code=frozenset(
            {"ratelimit", "rate_limit", "requests", "tokens", "throttled", "slow_down", "429", "ratelimitexceeded"}
        )
    ),
    "code.auth": When(
        error_code=frozenset(
            {
                *(
                    "auth",
                    "invalid_token",
                    "invalid_grant",
                    "token_expired",
                    "access_denied",
                    "insufficient_scope",
                    "eacces",
                    "eperm",
                ),
                *("login_required", "bot_check", "captcha", "incorrect_api_key", "invalid_authentication", "missing_api_key"),
                *("signaturedoesnotmatch", "permissiondenied", "not_authorized"),
            }
        )
    ),
    "code.timeout": When(
        error_code=frozenset(
            {
                *(
                    "esockettimedout",
                    "und_err_connect_timeout",
                    "und_err_headers_timeout",
                    "und_err_body_timeout",
                    "err_timed_out",
                ),
                *("gateway_timeout", "read_timeout", "connect_timeout", "execution_timeout"),
            }
        )
    ),
    "code.connection": When(
        error_code=frozenset(
            {
                *(
                    "connection",
                    "connection_refused",
                    "connection_reset",
                    "econnaborted",
                    "ehostunreach",
                    "enetunreach",
                    "eai_again",
                ),
                *("und_err_socket", "network_error", "dns_error", "err_network", "cert_has_expired", "err_bad_response"),
                *("self_signed_cert_in_chain", "unable_to_verify_leaf_signature", "err_tls_cert_altname_invalid"),
            }
        )
    ),
    "code.tool_not_found": When(
        error_code=frozenset({"no_such_tool", "command_not_found", "method_not_found", "unknown_function"})
    ),
    "code.schema_invalid": When(
        error_code=frozenset({"invalid_json", "json_parse_error", "parse_error", "malformed_response", "invalid_output"})
    ),
    "code.server_error": When(
        error_code=frozenset({"overloaded", "service_unavailable", "bad_gateway", "internalservererror", "upstream_error", "500"})
    ),
    "code.not_found": When(
        error_code=frozenset({"no_such_key", "no_such_file", "file_not_found", "object_not_found", "enoent", "42703", "404"})
    ),
    "code.conflict": When(error_code=frozenset({"already_exist", "duplicate", "eexist", "optimistic_lock", "23503", "23514"})),
    "code.invalid_input": When(
        error_code=frozenset(
            {
                *("invalid_input", "invalid_arguments", "invalid_params", "invalid_parameter", "invalid_request", "bad_request"),
                *("validation_error", "unprocessable_entity", "badrequest", "22p02", "22023"),
            }
        )
    ),
    "class.step_limit": When(
        error_class_has=("maxroundsexceeded", "maxroundtrips", "maxstepserror", "toolcalllimit", "stepcount")
    ),
    "class.tool_not_found": When(error_class_has=("unknownfunction", "functionnotfound", "toolnotexist")),
    "class.context_overflow": When(error_class_has=("maxtokensexceeded", "prompttoolong", "inputtoolong")),
    "class.quota_exceeded": When(error_class_has=("outofmemory", "insufficientcredits", "usagelimitreached")),
    "class.auth": When(
        error_class_has=(
            "accessdenied",
            "securityexception",
            "loadapikey",
            "apikeyerror",
            "unauthorised",
            "expiredtoken",
            "loginrequired",
        )
    ),
    "class.rate_limited": When(error_class_has=("quotaratelimit", "requestlimit")),
    "class.schema_invalid": When(
        error_class_has=(
            *(
                "zoderror",
                "typevalidation",
                "jsonparse",
                "jsonexception",
                "jsonprocessing",
                "jsonmapping",
                "jsonsyntax",
                "jsonmarshal",
            ),
            *("noobjectgenerated", "unmarshaltype", "mismatchedinput", "parsererror", "parseexception", "formatexception"),
            *("deserialization", "deserialize", "xmlexception", "saxparse", "unidentifiedimage", "badzipfile", "invalidjson"),
        )
    ),
    "class.connection": When(
        error_class_has=(
            *("fetcherror", "operror", "dnserror", "connectexception", "socketexception", "unknownhost", "noroutetohost"),
            *(
                "httprequestexception",
                "socketerror",
                "sslhandshake",
                "sslexception",
                "unknownauthority",
                "hostnameerror",
                "econn",
            ),
            *("eofexception", "httpconnect", "urlerror", "connectfailed", "websocketexception", "closedchannel", "enotfound"),
            *("transportexception", "certificateinvalid", "tlserror"),
        )
    ),
    "class.server_error": When(error_class_has=("serverexception", "modelerrorexception", "service_unavailable", "gatewayerror")),
    "class.not_found": When(
        error_class_has=(
            "nosuchfile",
            "nosuchelement",
            "nosuchkey",
            "nosuchbucket",
            "patherror",
            "nosuchelementerror",
            "errnorows",
        )
    ),
    "class.conflict": When(
        error_class_has=(
            *("duplicatekey", "integrityconstraint", "optimisticlock", "concurrencyexception", "staleobject", "recordnotunique"),
            *("fileexists", "alreadyexist", "constraintviolation", "conditionalcheckfailed"),
        )
    ),
    "class.invalid_input": When(
        error_class_has=(
            *("illegalargument", "argumentexception", "argumentnull", "argumentoutofrange", "argumenterror", "numberformat"),
            *(
                "numerror",
                "invalidtoolinput",
                "invalidtoolarguments",
                "recordinvalid",
                "invalidparams",
                "illegalstate",
                "urisyntax",
            ),
        )
    ),
}

_ENDS: Final = tuple(
    Rule(f"end.{reason}", code, When(error_code=frozenset({reason})), FailureType.ORCHESTRATION)
    for reason, code in (
        ("limit_steps", FailureCode.STEP_LIMIT_EXCEEDED),
        ("limit_time", FailureCode.TIME_LIMIT_EXCEEDED),
        ("limit_tokens", FailureCode.TOKEN_LIMIT_EXCEEDED),
        ("limit_cost", FailureCode.COST_LIMIT_EXCEEDED),
    )
)
_OWN_CODES: Final = (
    # Codes of our own integrations and of the reader of errors, and of frameworks, which v1 lumped with what nothing explains.
    Rule(
        "code.step_limit",
        FailureCode.STEP_LIMIT_EXCEEDED,
        When(
            error_code=frozenset(
                {
                    "step_limit_exceeded",
                    "max_turns_exceeded",
                    "max_iterations",
                    "max_steps",
                    "max_rounds",
                    "graph_recursion_limit",
                }
            )
        ),
        FailureType.ORCHESTRATION,
    ),
    Rule(
        "code.time_limit",
        FailureCode.TIME_LIMIT_EXCEEDED,
        When(error_code=frozenset({"time_limit_exceeded", "max_time"})),
        FailureType.ORCHESTRATION,
    ),
    Rule(
        "code.token_limit",
        FailureCode.TOKEN_LIMIT_EXCEEDED,
        When(error_code=frozenset({"token_limit_exceeded"})),
        FailureType.ORCHESTRATION,
    ),
    Rule(
        "code.cost_limit",
        FailureCode.COST_LIMIT_EXCEEDED,
        When(error_code=frozenset({"cost_limit_exceeded", "max_budget_usd", "error_max_budget_usd"})),
        FailureType.ORCHESTRATION,
    ),
    Rule(
        "code.guardrail",
        FailureCode.GUARDRAIL_TRIPPED,
        When(error_code=frozenset({"guardrail_tripwire", "guardrail_tripped", "guardrail_triggered", "guardrail_violation"})),
        FailureType.MODEL,
    ),
    Rule(
        "code.handoff",
        FailureCode.HANDOFF_FAILED,
        When(error_code=frozenset({"multiple_handoffs", "handoff_failed", "invalid_handoff", "handoff_not_found"})),
        FailureType.ORCHESTRATION,
    ),
    Rule(
        "code.tool_unavailable",
        FailureCode.TOOL_UNAVAILABLE,
        When(
            error_code=frozenset({"tool_unavailable", "tool_disabled", "server_not_connected", "browser_closed", "target_closed"})
        ),
        FailureType.TOOL,
    ),
    Rule(
        "code.code_error",
        FailureCode.CODE_ERROR,
        When(error_code=frozenset({"code_error", "bad_code", "syntax_error", "execution_error", "42601", "compile_error"})),
        FailureType.TOOL,
    ),
    Rule(
        "code.output_truncated",
        FailureCode.OUTPUT_TRUNCATED,
        When(error_code=frozenset({"output_truncated", "max_output_tokens_reached", "incomplete_output"})),
        FailureType.MODEL,
    ),
    Rule(
        "code.empty_answer",
        FailureCode.EMPTY_ANSWER,
        When(error_code=frozenset({"empty_answer", "empty_response", "no_content_generated"})),
        FailureType.MODEL,
    ),
    Rule(
        "code.empty_retrieval",
        FailureCode.EMPTY_RETRIEVAL,
        When(error_code=frozenset({"empty_retrieval", "no_results"})),
        FailureType.RETRIEVAL,
    ),
)
_FRAMEWORKS: Final = (
    Rule(
        "class.guardrail",
        FailureCode.GUARDRAIL_TRIPPED,
        When(error_class_has=("guardrailtripwire", "guardrailviolation", "guardrailtriggered", "guardrailfailed")),
        FailureType.MODEL,
    ),
    Rule("class.handoff", FailureCode.HANDOFF_FAILED, When(error_class_has=("handoff",)), FailureType.ORCHESTRATION),
    Rule(
        "class.time_limit",
        FailureCode.TIME_LIMIT_EXCEEDED,
        When(error_class=frozenset({"softtimelimitexceeded", "timelimitexceeded"})),
        FailureType.ORCHESTRATION,
    ),
    Rule(
        "class.cost_limit",
        FailureCode.COST_LIMIT_EXCEEDED,
        When(error_class=frozenset({"budgetexceedederror", "costlimitexceeded"})),
        FailureType.ORCHESTRATION,
    ),
    Rule(
        "class.tool_unavailable",
        FailureCode.TOOL_UNAVAILABLE,
        When(
            error_class_has=(
                "toolunavailable",
                "targetclosed",
                "browserclosed",
                "invalidsessionid",
                "sessionnotcreated",
                "deadkernel",
            )
        ),
        FailureType.TOOL,
    ),
)
_CODE_CLASSES: Final = (
    # Before timeouts and all other classes: in a tool that runs code they are errors of that code, whatever else they would mean.
    Rule(
        "class.code_error",
        FailureCode.CODE_ERROR,
        When(
            kind=_TOOL_STEPS,
            name_has=_RUNS_CODE,
            error_class=frozenset(
                {
                    *("syntaxerror", "indentationerror", "taberror", "nameerror", "unboundlocalerror", "typeerror", "valueerror"),
                    *("keyerror", "indexerror", "attributeerror", "zerodivisionerror", "assertionerror", "recursionerror"),
                    *("notimplementederror", "overflowerror", "arithmeticerror", "runtimeerror", "referenceerror", "rangeerror"),
                    *("nullpointerexception", "indexoutofboundsexception", "nomethoderror", "interpretererror", "stopiteration"),
                }
            ),
        ),
        FailureType.TOOL,
    ),
)
_SYNTAX: Final = (
    # No tool of an agent's own raises these at run time: code was run that a model wrote.
    Rule(
        "class.syntax",
        FailureCode.CODE_ERROR,
        When(
            kind=_TOOL_STEPS,
            error_class=frozenset({"syntaxerror", "indentationerror", "taberror", "compileerror", "interpretererror"}),
        ),
        FailureType.TOOL,
    ),
)
_TOLD: Final = (
    # The tool or a tracer says that it failed, and nothing says of what.
    Rule(
        "code.tool_error",
        FailureCode.TOOL_ERROR,
        When(
            kind=_TOOL_STEPS,
            error_code=frozenset({"error", "tool_error", "tool_failed", "tool_execution_error", "tool_exception", "is_error"}),
        ),
        FailureType.TOOL,
    ),
    Rule(
        "exit.status",
        FailureCode.TOOL_ERROR,
        When(kind=_TOOL_STEPS, error_code=frozenset({"exit_status", "exit_code", "nonzero_exit"})),
        FailureType.TOOL,
    ),
)
_SILENT: Final = (
    Rule(
        "quiet.output_truncated", FailureCode.OUTPUT_TRUNCATED, When(finish_reason=_LENGTH, kind=_MODEL_STEPS), FailureType.MODEL
    ),
    Rule("quiet.malformed_call", FailureCode.SCHEMA_INVALID, When(finish_reason=_MALFORMED), FailureType.MODEL),
    Rule(
        "quiet.empty_answer",
        FailureCode.EMPTY_ANSWER,
        When(kind=frozenset({StepKind.RESPOND}), says_nothing=True, finish_reason=frozenset({"stop", "end_turn", "completed"})),
        FailureType.MODEL,
    ),
    Rule(
        "quiet.empty_search",
        FailureCode.EMPTY_RETRIEVAL,
        When(kind=frozenset({StepKind.TOOL}), name_has=_SEARCHES, result_count=frozenset({0})),
        FailureType.RETRIEVAL,
    ),
)

_BEFORE: Final[Mapping[str, tuple[Rule, ...]]] = {
    # New rules, by the rule of taxonomy 1 that they come before.
    "code.context_overflow": _ENDS,
    "class.step_limit": (*_OWN_CODES, *_CODE_CLASSES, *_FRAMEWORKS),
    "class.tool_input": _SYNTAX,
    "any.unhandled": _TOLD,
}
_GUARDRAILS_OF_V1: Final = "guardrailtripwire"


def _amended(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    found: list[Rule] = []
    for rule in rules:
        found.extend(_BEFORE.get(rule.id, ()))
        found.append(_with_words(rule, _WORDS.get(rule.id, When())))
    return tuple(found)


def _with_words(rule: Rule, more: When) -> Rule:
    own = rule.when
    parts = tuple(part for part in own.error_class_has if part != _GUARDRAILS_OF_V1)
    return rule._replace(
        when=own._replace(
            error_class=own.error_class | more.error_class,
            error_class_has=parts + more.error_class_has,
            error_code=own.error_code | more.error_code,
            finish_reason=own.finish_reason | more.finish_reason,
        )
    )


V2: Final = Taxonomy(version=2, name="2", failed=_amended(V1.failed), silent=(*_amended(V1.silent), *_SILENT))
