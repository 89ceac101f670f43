"""The name of the step that an OpenTelemetry span becomes: the developer's, the instrumentation's, else the word for its kind.

A span's own name is kept where it is a name: one word of the form of names, or up to four such words with `-` for the blanks.
Names that are made of data are not: prose, paths of requests, statements. What varies from call to call is cut out.
"""

import re
from collections.abc import Mapping
from typing import Final

from agenttracer.rules.span_kinds import METHODS, SPAN_NAME_MAX, KnownKind, by_span_name
from agenttracer.wire import form
from agenttracer.wire.vocabulary import StepKind

WORDS_MAX: Final = 4
_DEFAULT_AGENTS: Final = frozenset(
    {*("agent", "Agent", "AgentExecutor", "Agent workflow", "LangGraph", "RunnableSequence", "invocation", "run", "task")}
)
"""What frameworks call an agent's span that was given no name."""
_CLASS: Final = re.compile(r"(?:.*\.)?[A-Z][A-Za-z0-9]*(?:Agent|Chat|Crew|Engine|Executor|Flow|Runner|Team|Worker|Workflow)")
"""Classes whose methods frameworks trace as agents: `ToolCallingAgent.run`. Of `planner.run` the agent is `planner`."""
_FUNCTION_WORDS: Final = frozenset(
    {
        *(
            "a",
            "an",
            "the",
            "and",
            "or",
            "of",
            "to",
            "in",
            "on",
            "for",
            "with",
            "at",
            "by",
            "from",
            "as",
            "is",
            "are",
            "was",
            "be",
        ),
        *(
            "do",
            "does",
            "can",
            "please",
            "what",
            "how",
            "why",
            "who",
            "when",
            "where",
            "which",
            "i",
            "me",
            "my",
            "we",
            "you",
            "your",
        ),
        *("it", "its", "this", "that", "these", "he", "she", "his", "her", "they", "their", "not", "no", "so", "if", "but"),
    }
)
_FUNCTION_WORDS_MAX: Final = 2
"""Of a name; prose has more."""
_UUID: Final = r"[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}"
_IDS: Final = re.compile(rf"[ _.:/@-]?(?<![0-9a-zA-Z])(?:{_UUID}|(?=[a-f]*[0-9])[0-9a-f]{{16,}}|[0-9]{{8,}})(?![0-9a-zA-Z])")
"""Of one run or call, with the mark before them: `Crew_0b0e….kickoff` of each run would be another name."""
_ID_CHARS_MIN: Final = 8
_SENDING: Final = re.compile(r"(http|websocket) (send|receive)")
_PARAMETER: Final = re.compile(r"\{[^{}/]*\}|<[^<>/]*>|\[[^\[\]/]*\]+|\(\?P?<?[^/]*\)|:[A-Za-z_][A-Za-z0-9_]*|\*+[A-Za-z0-9_]*")
_SEGMENT: Final = re.compile(r"[A-Za-z0-9_.+~@-]*")
_MEMORY: Final = 4_096

_kept: Final[dict[str, str]] = {}
"""Names by what they were made of; nothing of what was no name."""


def step_name(known: KnownKind, said: Mapping[str, str], span_name: str) -> str:
    """Of a tool the tool's name, of an agent the agent's; else what the code is called, the span's name, or the word."""
    if known.kind is StepKind.TOOL:
        return said.get("@tool") or _named(known, said, span_name)
    if known.is_agent or known.word == "create_agent":
        return said.get("@agent") or _named(known, said, span_name)
    if known.kind is StepKind.RETRIEVE and "@source" in said:
        return said["@source"]
    return _named(known, said, span_name)


def agent_name(known: KnownKind, said: Mapping[str, str], span_name: str) -> str | None:
    """The name of the agent that a span executes, where it says one: a default name, such as that of a workflow, is none."""
    named = said.get("@agent")
    if named is not None or not known.is_agent:
        return named
    by_name, target = by_span_name(span_name)
    if by_name is None:
        return said.get("@entity") or (_own_name(span_name) if known.word == "agent" else None)
    return kept_name(target) if by_name.is_agent and target else said.get("@entity")


def _own_name(span_name: str) -> str | None:
    """Of an agent's span that is called as the agent is, or as its method is; frameworks' classes and default names are none."""
    name, dot, method = span_name.rpartition(".")
    if dot and (not method.isidentifier() or _CLASS.fullmatch(name)):
        return None
    return None if span_name in _DEFAULT_AGENTS else kept_name(name or span_name)


def kept_name(text: str) -> str | None:
    """The name that a span's own name, or its target's, is; None where it is none."""
    found = _kept.get(text)
    if found is None and (found := _made(text)) is not None:
        if len(_kept) >= _MEMORY:
            _kept.clear()
        _kept[text] = found
    return found


def route_name(route: str, method: str) -> str | None:
    """A request's name by its method and its route's template, `GET-/users/:id`; None where that is none."""
    path = route_path(route)
    name = f"{method}-{path}"
    return name if path is not None and form.is_name(name) else None


def route_path(route: object) -> str | None:
    """A route's template with `:id` for every framework's form of parameter; None where it is none."""
    if not isinstance(route, str) or len(route) > SPAN_NAME_MAX:
        return None
    segments = [_segment(each) for each in route.strip("^$").split("/")]
    if None in segments:
        return None
    return "/" + "/".join(each for each in segments if each is not None).lstrip("/")


def _segment(text: str) -> str | None:
    plain = _PARAMETER.sub(":", text)
    if ":" not in plain:
        return text if _SEGMENT.fullmatch(text) and "~" not in text and "@" not in text else None
    names = [re.sub(r"[^A-Za-z0-9_]", "", found.split(":")[0] or found) or "x" for found in map(_inner, _PARAMETER.findall(text))]
    whole = plain
    for name in names:
        whole = whole.replace(":", f"\0{name}", 1)
    whole = whole.replace("\0", ":")
    return whole if re.fullmatch(r"[A-Za-z0-9_.+:-]*", whole) else None


def _inner(parameter: str) -> str:
    """The name in it: `{id:int}`, `<int:id>`, `[...slug]`, `(?P<id>…)`, `:id`, `*rest`."""
    group = re.match(r"\(\?P?<([A-Za-z0-9_]+)>", parameter)
    if group is not None:
        return group[1]
    inner = parameter.strip("{}<>[]():*.?")
    return inner.rpartition(":")[2] if parameter.startswith("<") else inner


def _named(known: KnownKind, said: Mapping[str, str], span_name: str) -> str:
    entity = said.get("@entity")
    if entity is not None:
        return entity
    method = said.get("@protocol", "")
    if "@route" in said and method in METHODS:
        return route_name(said["@route"], method) or method
    by_name, target = by_span_name(span_name)
    if by_name is None:
        return kept_name(span_name) or known.word
    if target and _names_target(by_name):
        return kept_name(target) or known.word
    # `chat gpt-4o` is the operation, its model is metadata; `openai.chat` is a name
    is_of_model = by_name.kind in {StepKind.RESPOND, StepKind.PLAN} or by_name.word == "embeddings"
    return known.word if is_of_model and " " in span_name else kept_name(span_name) or known.word


def _names_target(known: KnownKind) -> bool:
    return known.is_agent or known.kind in {StepKind.TOOL, StepKind.RETRIEVE} or known.word in _FRAMES


_FRAMES: Final = frozenset({"create_agent", "workflow", "task", "invoke_workflow"})


def _made(text: str) -> str | None:
    if not text or len(text) > SPAN_NAME_MAX or not text.isascii():
        return None
    if text.split(" ", 1)[0] in METHODS or text.startswith(("/", "HTTP ")):
        return _http_name(text)
    name = _IDS.sub("", text) if len(text) >= _ID_CHARS_MIN else text
    if form.is_name(name):
        return name
    words = name.split()
    if 1 < len(words) <= WORDS_MAX and all(map(form.is_name, words)) and not _is_prose(words):
        joined = "-".join(words)
        return joined if form.is_name(joined) else None
    if len(words) == 1 and len(name) > form.NAME_MAX_CHARS:
        return _last_segments(name)
    return None


def _is_prose(words: list[str]) -> bool:
    return sum(word.lower() in _FUNCTION_WORDS for word in words) > _FUNCTION_WORDS_MAX


def _last_segments(name: str) -> str | None:
    """Of a dotted path that is too long for a name: the class and the method."""
    last = ".".join(name.split(".")[-2:])
    return last if "." in last and form.is_name(last) else None


def _http_name(text: str) -> str | None:
    """Of a request its method, and its path only where braces say that it is a template: a path may hold anything."""
    sending = _SENDING.search(text)
    if sending is not None:
        return f"{sending[1]}-{sending[2]}"
    method, _, path = text.removeprefix("HTTP ").partition(" ")
    if method not in METHODS:
        return None
    is_template = path.startswith("/") and any(mark in path for mark in "{<[")
    return (route_name(path, method) if is_template else None) or method
