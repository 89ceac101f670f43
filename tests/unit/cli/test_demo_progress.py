"""When the demo calls something visible."""

from agenttracer_cli.demo.examples import SentCounts
from agenttracer_cli.demo.progress import SendProgress
from agenttracer_cli.demo.testing import a_run

SENT = SentCounts(run_ids=frozenset({"r1", "r2"}), emitted=6, accepted=6)


def test_runs_of_others_do_not_count() -> None:
    """A store can hold earlier demos, and whatever else is sent meanwhile."""
    progress = SendProgress().after([a_run("other"), a_run("r1")], sent=SENT, sending=False, now_s=1.0)
    assert [run["run_id"] for run in progress.runs] == ["r1"]
    assert progress.stored == 3


def test_the_first_visible_run_is_noted_once() -> None:
    """Also while the rest is still being sent."""
    progress = SendProgress().after([], sent=SENT, sending=True, now_s=0.1)
    assert progress.first_visible_s is None
    progress = progress.after([a_run("r1")], sent=SENT, sending=True, now_s=0.2)
    progress = progress.after([a_run("r1")], sent=SENT, sending=True, now_s=0.3)
    assert (progress.first_visible_s, progress.all_visible_s) == (0.2, None)


def test_all_is_visible_only_when_nothing_more_is_sent() -> None:
    """Else the next event would make it untrue."""
    runs = [a_run("r1"), a_run("r2")]
    progress = SendProgress().after(runs, sent=SENT, sending=True, now_s=1.0)
    assert progress.all_visible_s is None
    assert progress.after(runs, sent=SENT, sending=False, now_s=2.0).all_visible_s == 2.0


def test_more_stored_than_accepted_is_not_all_visible() -> None:
    """Equal means equal."""
    runs = [a_run("r1", stored=4), a_run("r2")]
    assert SendProgress().after(runs, sent=SENT, sending=False, now_s=1.0).all_visible_s is None


def test_a_run_without_an_end_settles_when_it_is_abandoned() -> None:
    """All was visible before; that time stands."""
    progress = SendProgress().after([a_run("r1"), a_run("r2", status="running")], sent=SENT, sending=False, now_s=1.0)
    assert (progress.all_visible_s, progress.settled, progress.running) == (1.0, False, 1)
    progress = progress.after([a_run("r1"), a_run("r2", status="abandoned")], sent=SENT, sending=False, now_s=6.0)
    assert (progress.all_visible_s, progress.settled, progress.running) == (1.0, True, 0)
