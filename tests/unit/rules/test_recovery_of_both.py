"""The SDK counts as steps end, the worker judges all of them at once: both say the same of what was made good."""

from hypothesis import given

from agenttracer._tracing import error_history
from agenttracer.rules.recovery import Call, made_good
from agenttracer.wire.vocabulary import StepKind
from tests.unit.rules.test_recovery import CALLS

PLACE = ((StepKind.TOOL, "fetch"),)


@given(CALLS)
def test_the_sdk_and_the_worker_agree(drawn: list[Call]) -> None:
    """Whether something of the run was left unrepaired, whatever overlapped and whatever work was known."""
    calls = sorted(
        (call._replace(ended=max(call.ended, call.began + 1), said_attempt=0) for call in drawn), key=lambda call: call.ended
    )
    outcomes = error_history.StepOutcomes()
    for call in calls:
        outcomes.ended(error_history.Call(PLACE, call.work, call.began, call.ended), failed=call.failed)
    good = made_good(calls)
    assert outcomes.unrepaired == any(call.failed and index not in good for index, call in enumerate(calls))
