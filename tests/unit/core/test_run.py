"""What is known of a run merges by rules that no order can upset."""

import functools
import itertools

from agenttracer.wire.events import AgentExecution, StepFinished
from agenttracer.wire.vocabulary import EndReason, StepKind, StepStatus
from stream_workers.core.run import End, RunIdentity, RunState, Start, end_of_agent, merge


def _state(**said: object) -> RunState:
    given = {
        "project": "default",
        "run_id": "r",
        "identity": RunIdentity(1, "b", "1"),
        "start": None,
        "end": None,
        "first_failure": None,
        "abandon_after_s": None,
        "session_digest": None,
        "first_ended_at": None,
        "first_event_at": 10,
        "last_event_at": 20,
        "last_received_at": 30,
    }
    return RunState(**{**given, **said})


def test_who_is_said_with_the_start_wins() -> None:
    """An agent's name that came with the start beats an earlier letter that came without."""
    assert merge(_state(identity=RunIdentity(1, "a", "1")), _state(identity=RunIdentity(0, "z", "1"))).identity.agent == "z"


def _started(agent: str, start: Start) -> RunState:
    return _state(identity=RunIdentity(0, agent, "1"), start=start)


def test_where_a_run_began_comes_before_where_it_went_on() -> None:
    """A start that names a step of its own run loses against one that does not, however early, and takes its agent along."""
    root = _started("support", Start(9, 1, None, None, '{"a":1}'))
    part = _started("billing", Start(5, 0, None, "00000000000000aa", None))
    for merged in (merge(root, part), merge(part, root)):
        assert (merged.identity.agent, merged.start) == ("support", root.start)


def test_of_several_that_went_on_the_earliest_says_who_ran() -> None:
    """Behind a root that never comes the first process counts, not the first letter."""
    early = _started("support", Start(5, 9, None, "00000000000000aa", None))
    late = _started("billing", Start(6, 0, None, "00000000000000ab", None))
    for merged in (merge(late, early), merge(early, late)):
        assert (merged.identity.agent, merged.start) == ("support", early.start)


def test_a_linked_run_begins_where_it_says() -> None:
    """A step of another run, which is named, is no sign that the run began elsewhere."""
    linked = _started("support", Start(5, 0, "parent", "00000000000000aa", None))
    assert merge(_started("billing", Start(6, 0, None, None, None)), linked).identity.agent == "support"


def test_one_start_from_two_agents() -> None:
    """The same start said under two names has one winner, in either order."""
    start = Start(5, 0, None, None, None)
    one, other = _started("a", start), _started("b", start)
    assert merge(one, other).identity == merge(other, one).identity == one.identity


def test_the_earliest_start_wins_whole() -> None:
    """Everything a start says comes from one event."""
    early = Start(5, 9, "parent", None, '{"a":1}')
    late = Start(6, 1, "other", "00000000000000aa", None)
    assert merge(_started("a", late), _started("b", early)) == merge(_started("b", early), _started("a", late))
    assert merge(_started("a", late), _started("b", early)).start == early


def test_the_latest_end_wins_and_the_first_is_remembered() -> None:
    """Conflicting ends have one winner; that there were two can be seen."""
    first, last = End(50, 1, "success", 3), End(60, 1, "failure", 4)
    merged = merge(_state(end=last, first_ended_at=60), _state(end=first, first_ended_at=50))
    assert (merged.end, merged.first_ended_at) == (last, 50)


def test_the_runs_own_end_wins_whatever_other_clocks_say() -> None:
    """Before that of a part in another process, before that of an agent inside it; among equals the latest."""
    own, part, agent = End(50, 1, "failure", 0), End(60, 1, "success", 0, None, 1), End(70, 1, "partial", 0, None, 2)
    late_agent = End(71, 1, "success", 0, None, 2)
    for ends, winner in (((own, part, agent), own), ((part, agent), part), ((agent, late_agent), late_agent)):
        for order in itertools.permutations(ends):
            assert functools.reduce(merge, [_state(end=end) for end in order]).end == winner


def test_an_agent_ends_a_run_as_its_reason_or_its_step_has_it() -> None:
    """A reason that contradicts the step's status is not kept."""

    def end(status: StepStatus, reason: EndReason | None) -> tuple[str, str | None, int]:
        execution = AgentExecution(name="a", end_reason=reason)
        step = StepFinished(
            run_id="r", seq=0, step_id="0" * 16, kind=StepKind.OTHER, name="a", started_at=5, duration_us=7, status=status
        )
        found = end_of_agent(step, execution)
        assert (found.ended_at, found.emitted) == (12, 0)
        return found.end_status, found.end_reason, found.end_rank

    assert end(StepStatus.OK, None) == ("success", None, 2)
    assert end(StepStatus.ERROR, None) == ("failure", None, 2)
    assert end(StepStatus.OK, EndReason.COMPLETED) == ("success", "completed", 2)
    assert end(StepStatus.ERROR, EndReason.COMPLETED) == ("failure", None, 2)
    assert end(StepStatus.OK, EndReason.INTERRUPTED) == ("partial", "interrupted", 2)
    assert end(StepStatus.OK, EndReason.LIMIT_TIME) == ("failure", "limit_time", 2)


def test_spans_grow() -> None:
    """The earliest and latest times of both are kept."""
    merged = merge(_state(first_event_at=1, last_event_at=2), _state(last_received_at=99))
    assert (merged.first_event_at, merged.last_event_at, merged.last_received_at) == (1, 20, 99)
