"""The limit on dead letters, project by project."""

import pytest

from stream_workers.errors import DeadLetterLimitError
from stream_workers.pipeline.dead_letter_limit import DeadLetterLimit


class _Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def _limit(clock: _Clock | None = None) -> DeadLetterLimit:
    return DeadLetterLimit(max_share=0.01, max_in_a_row=100, max_projects=3, park_s=60, clock_s=clock or _Clock())


def test_a_hundred_in_a_row_park_their_project_alone() -> None:
    """Ninety-nine do not, and another project is as free as before."""
    limit = _limit()
    assert not any(limit.dead_lettered("bad") for _ in range(99))
    assert limit.parked() == []
    assert limit.dead_lettered("bad")
    assert limit.parked() == ["bad"]
    assert not limit.is_parked("good")


def test_a_stored_record_begins_the_row_again() -> None:
    """Of the same project; another one's changes nothing."""
    limit = _limit()
    for _ in range(99):
        limit.dead_lettered("bad")
    limit.stored("bad")
    limit.stored("good")
    assert not limit.dead_lettered("bad")


def test_more_than_one_in_a_hundred_park_the_project() -> None:
    """Eleven of its last thousand do, ten spread over them do not, and the records of others do not thin them out."""
    limit = _limit()
    for number in range(1_000):
        if number % 100 == 0:
            assert not limit.dead_lettered("bad")
        else:
            limit.stored("bad")
        limit.stored("good")
    assert not limit.dead_lettered("bad")
    assert limit.dead_lettered("bad")


def test_one_bad_record_on_a_quiet_day_parks_nothing() -> None:
    """A share is judged over a full window only."""
    assert not _limit().dead_lettered("quiet")


def test_a_parked_project_is_tried_again() -> None:
    """After its time; one more dead letter parks it again, and one record that is stored ends it."""
    clock = _Clock()
    limit = _limit(clock)
    for again in range(2):
        assert [limit.dead_lettered("bad") for _ in range(1 if again else 100)][-1]
        clock.now_s += 59
        assert limit.is_parked("bad")
        clock.now_s += 1
        assert not limit.is_parked("bad")
    limit.stored("bad")
    assert not any(limit.dead_lettered("bad") for _ in range(99))


def test_a_parked_project_is_said_once() -> None:
    """Whoever parks it a second time hears that it is."""
    limit = _limit()
    assert limit.park("bad")
    assert not limit.park("bad")


def test_several_projects_with_nothing_stored_between_stop_the_worker() -> None:
    """The third one does: then the fault is not theirs. Where any record was stored meanwhile, it is."""
    limit = _limit()
    limit.park("a")
    limit.park("b")
    limit.stored("c")
    limit.park("d")
    limit.park("e")
    with pytest.raises(DeadLetterLimitError):
        limit.park("f")


def test_a_store_that_is_filled_again_parks_nobody() -> None:
    """Its topic was judged before."""
    limit = DeadLetterLimit.none()
    assert not any(limit.dead_lettered("bad") for _ in range(5_000))
