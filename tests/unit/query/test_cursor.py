"""Cursors as strings: what goes in comes out, and nothing else does."""

import base64
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agenttracer.wire.events import TIME_MAX_US
from query_service.api import cursor
from query_service.api.cursor import CURSOR_MAX_CHARS, Ordering
from query_service.errors import InputError
from query_service.store.store import DetailPosition, RunFilter, RunPosition
from query_service.testing_rows import DEFAULT_RUN, NOON

EVERY = RunFilter()
POSITION = RunPosition(started_at=NOON + timedelta(microseconds=1), run_id=DEFAULT_RUN)
STEP_IDS = st.one_of(st.from_regex(r"[0-9a-f]{16}", fullmatch=True), st.just("abandoned"))
TIMES = st.integers(0, 70 * 365 * 86_400_000_000).map(lambda us: NOON + timedelta(microseconds=us - us // 2))


@given(TIMES, st.uuids())
def test_run_position_survives(started_at: object, run_id: UUID) -> None:
    """A position in the list of runs comes back to the microsecond."""
    position = RunPosition(started_at=started_at, run_id=run_id)  # type: ignore[arg-type]  # hypothesis loses the type in map
    text = cursor.run_cursor(position, EVERY)
    assert len(text) <= CURSOR_MAX_CHARS
    assert cursor.run_position(text, EVERY) == position


@given(st.integers(0, 32), st.integers(0, 2**31 - 1), STEP_IDS, st.sampled_from(Ordering))
def test_detail_position_survives(depth: int, seq: int, name: str, ordering: Ordering) -> None:
    """A position among a run's details comes back, for its ordering and its run."""
    position = DetailPosition(at=NOON, depth=depth, seq=seq, id=name)
    text = cursor.detail_cursor(position, ordering=ordering, run_id=DEFAULT_RUN)
    assert len(text) <= CURSOR_MAX_CHARS
    assert cursor.detail_position(text, ordering=ordering, run_id=DEFAULT_RUN) == position


@given(st.text(max_size=70))
def test_junk_is_refused(text: str) -> None:
    """Whatever is no cursor of ours is refused, and nothing else is raised."""
    with pytest.raises(InputError):
        cursor.run_position(text, EVERY)
    with pytest.raises(InputError):
        cursor.detail_position(text, ordering=Ordering.STEPS, run_id=DEFAULT_RUN)


@pytest.mark.parametrize(
    ("given_with", "taken_with"),
    [
        (EVERY, RunFilter(agent="a")),
        (RunFilter(agent="a"), EVERY),
        (RunFilter(agent="a"), RunFilter(agent_version="a")),
        (RunFilter(since=NOON), RunFilter(until=NOON)),
        (RunFilter(min_latency_us=1), RunFilter(min_latency_us=2)),
    ],
)
def test_cursor_belongs_to_its_filters(given_with: RunFilter, taken_with: RunFilter) -> None:
    """A cursor continues the list whose filters it came from, and none with others."""
    text = cursor.run_cursor(POSITION, given_with)
    assert cursor.run_position(text, given_with) == POSITION
    with pytest.raises(InputError):
        cursor.run_position(text, taken_with)


@given(st.integers(0, 39), st.sampled_from("ABab01-_"))
def test_changed_cursor_is_refused(at: int, letter: str) -> None:
    """A cursor with one character changed is refused."""
    text = cursor.run_cursor(POSITION, EVERY)
    changed = text[:at] + letter + text[at + 1 :]
    if changed != text:
        with pytest.raises(InputError):
            cursor.run_position(changed, EVERY)


@pytest.mark.parametrize("us", [-(2**63), -TIME_MAX_US - 1, 2**63 - 1])
def test_absurd_time_is_refused(us: int) -> None:
    """A cursor made on purpose, with a right checksum and an absurd time, is refused rather than overflowing a date."""
    text = cursor._sealed(cursor._RUN.pack(us, DEFAULT_RUN.bytes), scope=cursor._scope(EVERY))
    with pytest.raises(InputError):
        cursor.run_position(text, EVERY)


def test_absurd_id_is_refused() -> None:
    """A cursor made on purpose, with a right checksum and no step id, is refused."""
    packed = cursor._DETAIL.pack(0, 0, 1, b"\xff\x00no id")
    text = cursor._sealed(packed, scope=f"{Ordering.STEPS}:{DEFAULT_RUN}")
    with pytest.raises(InputError):
        cursor.detail_position(text, ordering=Ordering.STEPS, run_id=DEFAULT_RUN)


def test_padding_is_refused() -> None:
    """One position has one cursor: other spellings of the same bytes are refused."""
    text = cursor.run_cursor(POSITION, EVERY)
    standard = base64.b64encode(base64.urlsafe_b64decode(text)).decode()
    for other in (text + "=", text + "\n", standard.replace("+", "+/")):
        if other != text:
            with pytest.raises(InputError):
                cursor.run_position(other, EVERY)
