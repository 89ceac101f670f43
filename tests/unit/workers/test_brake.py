"""When to stop burying."""

import pytest

from stream_workers.brake import PoisonBrake
from stream_workers.errors import PoisonBrakeError


def test_a_hundred_in_a_row_stop_the_worker() -> None:
    """Ninety-nine do not."""
    brake = PoisonBrake(max_share=0.01, max_in_a_row=100)
    for _ in range(99):
        brake.died()
    with pytest.raises(PoisonBrakeError):
        brake.died()


def test_more_than_one_in_a_hundred_stop_the_worker() -> None:
    """Eleven of the last thousand stop it, ten spread over them do not."""
    brake = PoisonBrake(max_share=0.01, max_in_a_row=100)
    for number in range(1_000):
        brake.died() if number % 100 == 0 else brake.stored()
    brake.died()
    with pytest.raises(PoisonBrakeError):
        brake.died()


def test_one_bad_record_on_a_quiet_day_stops_nothing() -> None:
    """A share is judged over a full window only."""
    PoisonBrake(max_share=0.01, max_in_a_row=100).died()


def test_what_is_foreseen_is_not_counted() -> None:
    """A batch that would be one too many is refused before it is written, as often as it comes; one that is not passes."""
    brake = PoisonBrake(max_share=0.01, max_in_a_row=100)
    for _ in range(60):
        brake.died()
    for _ in range(3):
        with pytest.raises(PoisonBrakeError):
            brake.foresee([True] * 40)
        brake.foresee([True] * 39)
        brake.foresee([True] * 39 + [False] + [True] * 99)
