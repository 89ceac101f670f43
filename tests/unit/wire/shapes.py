"""Strategies for contract objects, derived from the contract's own annotations."""

import string
from typing import Any

from hypothesis import strategies as st

from agenttracer.wire import events as e
from agenttracer.wire.envelope import Producer, Record
from agenttracer.wire.form import names_content
from agenttracer.wire.vocabulary import (
    RESERVED_NAMES,
    DropReason,
    EndReason,
    FailureType,
    RunEnd,
    RunKind,
    StepKind,
    StepStatus,
)

_NAME_TAIL = string.ascii_letters + string.digits + "_.:/+-"
_RUN = "01234567-89ab-7cde-8f01-23456789abcd"

pseudonyms = st.integers(0, 2**40 - 1).map("~{:010x}".format)
names = pseudonyms | st.builds(
    str.__add__, st.sampled_from(string.ascii_letters + string.digits), st.text(_NAME_TAIL, max_size=63)
)
required_names = names | st.sampled_from(sorted(RESERVED_NAMES))
codes = st.builds(
    str.__add__, st.sampled_from(string.ascii_lowercase), st.text(string.ascii_lowercase + "_0123456789", max_size=63)
)
keys = st.builds(
    str.__add__, st.sampled_from(string.ascii_lowercase), st.text(string.ascii_lowercase + "_.0123456789", max_size=20)
)
run_ids = st.uuids().map(str)
step_ids = st.integers(1, 2**64 - 1).map("{:016x}".format)
times = st.integers(e.TIME_MIN_US, e.TIME_MAX_US)
durations = st.integers(0, e.DURATION_MAX_US)
counts = st.integers(0, e.COUNT_MAX)
seqs = st.integers(0, e.SEQ_MAX)
numbers = st.booleans() | st.integers(e.INT64_MIN, e.INT64_MAX) | st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def _metadata(draw: st.DrawFn) -> dict[str, e.MetadataValue]:
    found = draw(st.dictionaries(keys, numbers | names, max_size=5))
    return {key: value for key, value in found.items() if not (isinstance(value, str) and names_content(key))}


def _optional(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


metadata = _metadata()
evidence = st.builds(
    e.Evidence,
    error_class=_optional(names),
    error_code=_optional(names),
    http_status=_optional(st.integers(100, 599)),
    errno=_optional(st.integers(0, 65_535)),
    retry_after_s=_optional(counts),
)
attempts = st.integers(1, 10_000)
fingerprints = st.integers(0, 2**128 - 1).map("{:032x}".format)
statuses = st.integers(100, 599)
returned_errors = st.builds(
    e.ReturnedError,
    code=_optional(codes),
    http_status=_optional(statuses),
    exit_status=_optional(st.integers(-(2**31), 2**31 - 1)),
    error_class=_optional(names),
)
executions = st.builds(
    e.AgentExecution,
    name=required_names,
    version=_optional(required_names),
    end_reason=_optional(st.sampled_from(EndReason)),
)
costs = st.builds(e.Cost, nano=st.integers(0, e.NANO_MAX), currency=st.text(string.ascii_uppercase, min_size=3, max_size=3))


def events_of(run_id: st.SearchStrategy[str] = run_ids) -> st.SearchStrategy[e.Event]:
    """Any event of any kind, of the runs given."""
    return st.one_of(
        st.builds(
            e.RunStarted,
            run_id=run_id,
            seq=seqs,
            started_at=times,
            parent_run_id=_optional(run_ids),
            parent_step_id=_optional(step_ids),
            abandon_after_s=_optional(st.integers(1, 31 * 86_400)),
            session_digest=_optional(fingerprints),
            kind=st.sampled_from(RunKind),
            metadata=metadata,
        ),
        st.builds(
            e.StepFinished,
            run_id=run_id,
            seq=seqs,
            step_id=step_ids,
            kind=st.sampled_from(StepKind),
            name=required_names,
            started_at=times,
            duration_us=durations,
            status=st.sampled_from(StepStatus),
            parent_step_id=_optional(step_ids),
            attempt=attempts,
            evidence=_optional(evidence),
            cause_step_id=_optional(step_ids),
            work_digest=_optional(step_ids),
            returned_error=_optional(returned_errors),
            agent=_optional(executions),
            cost=_optional(costs),
            session_digest=_optional(fingerprints),
            redacted=_optional(st.integers(1, 10_000)),
            metadata=metadata,
        ),
        st.builds(
            e.FailureRecorded,
            run_id=run_id,
            seq=seqs,
            failure_id=step_ids,
            occurred_at=times,
            failure_type=st.sampled_from(FailureType),
            failure_code=codes,
            step_id=_optional(step_ids),
            attempt=_optional(attempts),
            message_chars=_optional(counts),
            message_fingerprint=_optional(fingerprints),
            evidence=_optional(evidence),
        ),
        st.builds(
            e.RunFinished,
            run_id=run_id,
            seq=seqs,
            ended_at=times,
            status=st.sampled_from(RunEnd),
            emitted=counts,
            evidence=_optional(evidence),
            cause_step_id=_optional(step_ids),
            end_reason=_optional(st.sampled_from(EndReason)),
            parent_step_id=_optional(step_ids),
        ),
        st.builds(e.RunHeartbeat, run_id=run_id, at=times),
        st.builds(e.EventsDropped, run_id=run_id, reason=st.sampled_from(DropReason), total=counts),
    )


producers = st.builds(Producer, id=names, agent=required_names, agent_version=required_names, sdk=_optional(names))
records = st.builds(
    Record,
    v=st.sampled_from(["1.0", "1.7"]),
    project=names,
    producer=producers,
    received_at=times,
    events=st.lists(events_of(st.just(_RUN)), min_size=1, max_size=4).map(tuple),
)
