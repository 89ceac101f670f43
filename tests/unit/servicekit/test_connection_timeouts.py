"""Who waits, who is overdue, who can be spared."""

from servicekit.http.connection_policy import ConnectionPolicy
from servicekit.http.connection_timeouts import ConnectionTimeouts


def waiting() -> ConnectionTimeouts[str]:
    return ConnectionTimeouts(
        ConnectionPolicy(head_timeout_s=5, body_timeout_s=3, idle_timeout_s=60, answer_timeout_s=5, linger_timeout_s=2)
    )


def test_overdue() -> None:
    """Each wait has its own timeout, counted from when it began."""
    who = waiting()
    who.await_head("head", now=0)
    who.rest("idle", now=0)
    assert who.overdue(now=4.9) == []
    assert who.overdue(now=5) == [("head", "head_timeout")]
    assert who.overdue(now=60) == [("head", "head_timeout"), ("idle", "idle_timeout")]


def test_work() -> None:
    """Who has a request in work does not wait; afterwards its time begins anew."""
    who = waiting()
    who.await_head("a", now=0)
    who.work("a")
    assert who.overdue(now=100) == []
    who.rest("a", now=100)
    assert who.overdue(now=101) == []


def test_unread() -> None:
    """Who does not read has its time from the first unread answer on, whatever else it sends meanwhile."""
    who = waiting()
    who.unread("a", now=0)
    who.await_head("a", now=1)
    who.work("a")
    who.unread("a", now=2)
    assert who.overdue(now=5) == [("a", "answer_timeout")]
    who.rest("a", now=5)
    assert who.overdue(now=10) == []


def test_linger() -> None:
    """Who was answered for the last time waits for nothing else, has its own timeout, and is the first that can be spared."""
    who = waiting()
    who.await_head("head", now=0)
    who.unread("last", now=0)
    who.linger("last", now=1)
    assert who.overdue(now=3) == [("last", "linger_timeout")]
    assert who.oldest(but="x") == "last"
    who.forget("last")
    assert who.oldest(but="x") == "head"


def test_oldest() -> None:
    """A head that is awaited can be spared before an idle connection; of each the oldest, and never the one that asks."""
    who = waiting()
    who.rest("idle", now=0)
    who.await_head("second", now=1)
    who.await_head("third", now=2)
    who.await_head("second", now=3)
    assert who.oldest(but="third") == "second"
    assert who.oldest(but="second") == "third"
    who.forget("third")
    assert who.oldest(but="second") == "idle"
    who.forget("idle")
    assert who.oldest(but="second") is None


def test_body() -> None:
    """A body that is awaited has its own timeout, and can be spared like a head of its age; an answer not taken comes first."""
    who = waiting()
    who.await_head("head", now=0)
    who.await_body("body", now=0)
    who.rest("idle", now=0)
    assert who.overdue(now=3) == [("body", "body_timeout")]
    assert who.oldest(but="head") == "body"
    who.await_head("head", now=1)
    assert who.oldest(but="idle") == "body"
    who.await_body("body", now=2)
    assert who.oldest(but="idle") == "head"
    who.unread("body", now=1)
    who.await_body("body", now=1)
    assert who.overdue(now=4) == []


def test_head_anew() -> None:
    """Who begins a head later than others stands behind them, however long it has been there: nobody hides behind it."""
    who = waiting()
    who.await_head("early", now=0)
    who.await_head("other", now=1)
    who.await_head("early", now=4)
    assert who.overdue(now=6) == [("other", "head_timeout")]
