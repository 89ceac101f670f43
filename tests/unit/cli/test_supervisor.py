from agenttracer_cli.errors import StartError
from agenttracer_cli.local.supervisor import Supervisor
from servicekit.restart_backoff import RestartBackoff


class FakePart:
    """A part that starts, or does not."""

    name = "worker-1"
    gave_up = False

    def __init__(self, *, starts: bool = True) -> None:
        self.pid = 1
        self.started = 0
        self._starts = starts

    def start(self) -> None:
        """Start, or fail."""
        self.started += 1
        if not self._starts:
            raise StartError("no")
        self.pid = 2

    def log_tail(self) -> str:
        """Give what it wrote."""
        return "last words"


def watched(part: FakePart) -> tuple[Supervisor, list[str], list[int]]:
    said, restarted = [], []
    return Supervisor([part], report=said.append, restarted=lambda: restarted.append(1)), said, restarted


def test_a_part_that_keeps_dying_is_started_more_and_more_slowly() -> None:
    """1, 2, 4 … 30 seconds."""
    policy, now, delays = RestartBackoff(), 0.0, []
    for _ in range(7):
        delays.append(policy.ended(now=now))
        now += delays[-1] + 1
    assert delays == [1, 2, 4, 8, 16, 30, 30]


def test_after_a_quiet_minute_all_is_forgiven() -> None:
    """The next death counts as the first."""
    policy = RestartBackoff()
    policy.ended(now=0)
    policy.ended(now=2)
    assert policy.ended(now=100) == 1


def test_a_living_part_is_left_alone() -> None:
    """Nothing is said or done."""
    part = FakePart()
    supervisor, said, _ = watched(part)
    supervisor.look(now=0)
    assert (said, part.started) == ([], 0)


def test_a_dead_part_is_reported_at_once_and_started_when_due() -> None:
    """Its last words are shown, and the endpoints are published again."""
    part = FakePart()
    supervisor, said, restarted = watched(part)
    part.pid = None
    supervisor.look(now=10.0)
    assert "last words" in said[0]
    supervisor.look(now=10.5)
    assert part.started == 0
    supervisor.look(now=11.0)
    assert (part.started, restarted) == (1, [1])


def test_a_failed_restart_is_tried_again_later() -> None:
    """The supervisor itself never dies of it."""
    part = FakePart(starts=False)
    supervisor, said, restarted = watched(part)
    part.pid = None
    supervisor.look(now=0.0)
    supervisor.look(now=1.0)
    supervisor.look(now=2.9)
    assert part.started == 1
    supervisor.look(now=3.0)
    assert part.started == 2
    assert restarted == []
    assert "no" in said


def test_a_part_that_gave_up_stays_down() -> None:
    """It is said once, with its last words, and nothing is started however long one waits."""
    part = FakePart()
    supervisor, said, restarted = watched(part)
    part.pid, part.gave_up = None, True
    for second in range(100):
        supervisor.look(now=float(second))
    assert (part.started, restarted) == (0, [])
    assert ["last words" in line or "stays down" in line for line in said] == [True, True]
