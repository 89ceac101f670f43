"""Where names stand in producers and events. What becomes of each is said by rules: of detectors, or of a closed project."""

import dataclasses
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from typing import Any, Final

from agenttracer.wire.envelope import Producer
from agenttracer.wire.events import Event, MetadataValue
from producer_gateway.events.validate import ValidBatch
from servicekit.codec import replaced

_REDACTED_MAX: Final = 10_000


class NameRules(ABC):
    """What becomes of names. Each method answers what was given where it may stay as it is."""

    def __init__(self) -> None:
        self.lost: Counter[str] = Counter()
        """Values that were replaced or left out, by rule."""

    @abstractmethod
    def producer_id(self, text: str) -> str:
        """Raises UnprocessableError for one that cannot be taken."""

    @abstractmethod
    def required(self, name: str, *, version: bool = False) -> str:
        """A name that the contract wants."""

    @abstractmethod
    def optional(self, name: str | None) -> str | None:
        """Any other name."""

    @abstractmethod
    def sdk(self, name: str | None) -> str | None:
        """The name and version of what sends."""

    @abstractmethod
    def code(self, code: str) -> str:
        """A code of a failure."""

    @abstractmethod
    def metadata(self, metadata: Mapping[str, MetadataValue]) -> Mapping[str, MetadataValue]:
        """The entries that may stay."""

    @abstractmethod
    def currency(self, code: str) -> bool:
        """Whether a cost in it may stay."""

    @abstractmethod
    def passes(self, event: Event) -> bool:
        """Whether an event is known to stay as it is, at less than a look at all of its names."""

    @abstractmethod
    def redacted(self) -> int:
        """How many values so far were no names at all."""


def rewriting(checked: ValidBatch, rules: NameRules) -> Generator[None, None, ValidBatch]:
    """Returns the same by the rules; `checked` itself where nothing changes. Yields where others may have a turn."""
    producer = _producer(checked.producer, rules)
    events: list[Event] = []
    changed = producer is not checked.producer
    for at, event in enumerate(checked.events):
        if at % _TURN_EVENTS == 0:
            yield
        made = event if rules.passes(event) else _EVENTS.get(event.type, _as_it_is)(event, rules)
        changed = changed or made is not event
        events.append(made)
    if not changed:
        return checked
    return dataclasses.replace(checked, producer=producer, events=events, dropped=dict(Counter(checked.dropped) + rules.lost))


_TURN_EVENTS: Final = 50


def _producer(producer: Producer, rules: NameRules) -> Producer:
    changed: Producer = _changed(
        producer,
        id=rules.producer_id(producer.id),
        agent=rules.required(producer.agent),
        agent_version=rules.required(producer.agent_version, version=True),
        sdk=rules.sdk(producer.sdk),
    )
    return changed


def _step(event: Any, rules: NameRules) -> Any:  # noqa: ANN401 - an event in either form, as below
    before = rules.redacted()
    step = _changed(
        event,
        name=rules.required(event.name),
        evidence=_evidence(event.evidence, rules),
        returned_error=_returned(event.returned_error, rules),
        agent=_execution(event.agent, rules),
        cost=event.cost if event.cost is None or rules.currency(event.cost.currency) else None,
        metadata=rules.metadata(event.metadata) if event.metadata else event.metadata,
    )
    count = rules.redacted() - before
    return replaced(step, redacted=min((event.redacted or 0) + count, _REDACTED_MAX)) if count else step


def _failure(event: Any, rules: NameRules) -> Any:  # noqa: ANN401
    return _changed(event, failure_code=rules.code(event.failure_code), evidence=_evidence(event.evidence, rules))


def _start(event: Any, rules: NameRules) -> Any:  # noqa: ANN401
    return _changed(event, metadata=rules.metadata(event.metadata) if event.metadata else event.metadata)


def _end(event: Any, rules: NameRules) -> Any:  # noqa: ANN401
    return _changed(event, evidence=_evidence(event.evidence, rules))


def _as_it_is(event: Any, _: NameRules) -> Any:  # noqa: ANN401
    return event


_EVENTS: Final[Mapping[str, Callable[[Any, NameRules], Any]]] = {
    "step_finished": _step,
    "failure_recorded": _failure,
    "run_started": _start,
    "run_finished": _end,
}


def _evidence(evidence: Any, rules: NameRules) -> Any:  # noqa: ANN401
    if evidence is None:
        return None
    return _changed(evidence, error_class=rules.optional(evidence.error_class), error_code=rules.optional(evidence.error_code))


def _returned(error: Any, rules: NameRules) -> Any:  # noqa: ANN401
    if error is None:
        return None
    code = error.code if error.code is None else rules.code(error.code)
    return _changed(error, code=code, error_class=rules.optional(error.error_class))


def _execution(agent: Any, rules: NameRules) -> Any:  # noqa: ANN401
    if agent is None:
        return None
    version = None if agent.version is None else rules.required(agent.version, version=True)
    return _changed(agent, name=rules.required(agent.name), version=version)


def _changed(item: Any, **members: Any) -> Any:  # noqa: ANN401 - a contract object in either form
    """`item` itself where all of these members are what they were."""
    for name, value in members.items():
        if getattr(item, name) is not value:
            return replaced(item, **members)
    return item
