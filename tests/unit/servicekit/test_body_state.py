"""Who says that a request's body is there, and who does not."""

import time

from servicekit.http.body_state import arrived, awaited, begun_at, has_arrived


def test_unsaid() -> None:
    """A server that says nothing, or has other extensions, leaves the wait guarded."""
    assert not has_arrived({})
    assert not has_arrived({"extensions": {"tls": {}}})


def test_said() -> None:
    """Said for one request, beside what the server says itself, and for no other that shares its extensions."""
    extensions: dict[str, object] = {"tls": {}}
    one, other = {"extensions": extensions}, {"extensions": extensions}
    arrived(one)
    assert has_arrived(one)
    assert not has_arrived(other)
    assert "tls" in one["extensions"]


def test_awaited() -> None:
    """A request's time begins with its head where the connection tells, else now."""
    told: dict[str, object] = {}
    awaited(told, since=12.5)
    arrived(told)
    assert begun_at(told) == 12.5
    before = time.monotonic()
    assert before <= begun_at({}) <= time.monotonic()
