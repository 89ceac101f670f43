"""How many different names a project may bring into statistics in a day. What comes on top is called `__other__`.

Every agent, version, step name and recorded failure code is a row of its own in each minute's rollups, for as long as these are
kept: a name with an id in it makes millions. Metadata is not counted: it lies beside its step and multiplies nothing. Each
process counts for itself. No I/O, no clock: the day is an argument.
"""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from agenttracer.wire.events import Event
from agenttracer.wire.vocabulary import INVALID_NAME, OTHER_NAME
from producer_gateway.check import Checked

RULE: Final = "too_many_names"
OTHER_CODE: Final = "other"
"""Failure codes have a form of their own, in which the placeholder of names does not fit."""
_PROJECTS_MAX: Final = 512
"""Projects whose names are remembered at once: 250 MB if every one of them had 1,000 names of each kind."""
_STEP, _FAILURE = "step_finished", "failure_recorded"


class Names:
    """Names of one kind, up to a number."""

    def __init__(self, *, most: int) -> None:
        self.known: set[str] = {INVALID_NAME, OTHER_NAME, OTHER_CODE}
        self._most = most + len(self.known)

    def admits(self, name: str) -> bool:
        """Whether it is known, or there is room for it."""
        if name in self.known:
            return True
        if len(self.known) >= self._most:
            return False
        self.known.add(name)
        return True


class NameCap:
    """The names of all projects today."""

    def __init__(self, *, names_max: int) -> None:
        self._names_max = names_max
        self._day = 0
        self._projects: dict[str, tuple[Names, Names, Names, Names]] = {}

    def apply(self, checked: Checked, *, project: str, day: int) -> Checked:
        """The same events, with what is too much renamed and counted; `checked` itself where nothing is."""
        agents, versions, steps, codes = self._names(project, day)
        agent, version = checked.producer.agent, checked.producer.agent_version
        events, renamed = _renamed(checked.events, steps, codes)
        if not agents.admits(agent):
            agent, renamed = OTHER_NAME, renamed + 1
        if not versions.admits(version):
            version, renamed = OTHER_NAME, renamed + 1
        if not renamed:
            return checked
        producer = _replace(checked.producer, agent=agent, agent_version=version)
        dropped = Counter(checked.dropped) + Counter({RULE: renamed})
        return dataclasses.replace(checked, producer=producer, events=events, dropped=dict(dropped))

    def _names(self, project: str, day: int) -> tuple[Names, Names, Names, Names]:
        if day != self._day:
            self._day = day
            self._projects.clear()
        names = self._projects.pop(project, None)
        if names is None:
            if len(self._projects) >= _PROJECTS_MAX:
                del self._projects[next(iter(self._projects))]
            most = self._names_max
            names = Names(most=most), Names(most=most), Names(most=most), Names(most=most)
        self._projects[project] = names  # last: the first one is whose last request is longest ago
        return names


def _renamed(events: Sequence[Any], steps: Names, codes: Names) -> tuple[Sequence[Event], int]:
    names = {event.name for event in events if event.type == _STEP}
    recorded = {event.failure_code for event in events if event.type == _FAILURE}
    if names <= steps.known and recorded <= codes.known:
        return events, 0
    kept = [_fit(event, steps, codes) for event in events]
    renamed = sum(before is not after for before, after in zip(events, kept, strict=True))
    return (kept if renamed else events), renamed


def _fit(event: Any, steps: Names, codes: Names) -> Any:  # noqa: ANN401 - an event in either form, told by its tag
    if event.type == _STEP and not steps.admits(event.name):
        return _replace(event, name=OTHER_NAME)
    if event.type == _FAILURE and not codes.admits(event.failure_code):
        return _replace(event, failure_code=OTHER_CODE)
    return event


def _replace(item: Any, **members: str) -> Any:  # noqa: ANN401 - the contract's object in either form
    return msgspec.structs.replace(item, **members) if isinstance(item, msgspec.Struct) else dataclasses.replace(item, **members)
