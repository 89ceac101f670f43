"""The soak's traffic says everything that the contract lets a producer say, so that nothing of it can get lost unseen."""

from dataclasses import fields

from agenttracer.wire.events import EVENT_KINDS, Evidence
from tests.chaos.load import lots


def test_every_member_of_every_event_travels() -> None:
    """A member that no event of a soak has is one that the checker never compares."""
    said = set()
    for lot in lots(1, events=20_000):
        for event in lot.events:
            said |= {(event["type"], name) for name in event} | {("evidence", name) for name in event.get("evidence") or {}}
    members = {(kind.type, field.name) for kind in EVENT_KINDS for field in fields(kind)}
    members |= {("evidence", field.name) for field in fields(Evidence)}
    assert members - said == set()
