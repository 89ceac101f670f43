import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from agenttracer_cli.admin import topics
from agenttracer_cli.admin.kafka_admin import FoundTopic
from agenttracer_cli.admin.topics import TopicReport, WantedSetting, ensure_topic, wanted_settings
from agenttracer_cli.errors import TopicError

WEEK_MS = "604800000"
Ensure = Callable[..., TopicReport]


class FakeAdmin:
    """A cluster with some brokers and at most one topic."""

    def __init__(self, *, brokers: int = 1, topic: FoundTopic | None = None, settings: dict[str, str] | None = None) -> None:
        self.brokers = brokers
        self.topic = topic
        self.values = settings or {}
        self.changes = None

    async def broker_count(self) -> int:
        """Count the brokers."""
        return self.brokers

    async def find(self, name: str) -> FoundTopic | None:
        """Give the topic."""
        return self.topic

    appeared = find

    async def create(self, name: str, *, partitions: int, replication_factor: int, settings: dict[str, str] | None) -> bool:
        """Make the topic."""
        self.topic, self.values = FoundTopic(name, partitions, replication_factor), settings
        return True

    async def settings(self, name: str) -> dict[str, str]:
        """Give its settings."""
        return self.values

    async def change_settings(self, name: str, changes: dict[str, str]) -> None:
        """Remember what was to be changed."""
        self.changes = changes


@pytest.fixture
def ensure(monkeypatch: pytest.MonkeyPatch) -> Ensure:
    def run(admin: FakeAdmin, **options: int) -> TopicReport:
        @asynccontextmanager
        async def connect(_bootstrap: str, _security: object) -> AsyncIterator[FakeAdmin]:
            yield admin

        monkeypatch.setattr(topics, "topic_admin", connect)
        return asyncio.run(ensure_topic("host:1", name="t", **options))

    return run


def as_wanted(copies: int = 1) -> dict[str, str]:
    return {setting.name: setting.value for setting in wanted_settings(replication_factor=copies)}


@pytest.mark.parametrize(("brokers", "copies", "in_sync"), [(1, 1, "1"), (2, 1, "1"), (3, 3, "2"), (7, 3, "2")])
def test_a_new_topic_is_as_safe_as_the_cluster_allows(ensure: Ensure, brokers: int, copies: int, in_sync: str) -> None:
    """Three copies of which two must acknowledge, where there are three brokers."""
    admin = FakeAdmin(brokers=brokers)
    report = ensure(admin)
    assert (report.created, report.partitions, report.replication_factor) == (True, 12, copies)
    assert admin.values["min.insync.replicas"] == in_sync
    assert admin.values["unclean.leader.election.enable"] == "false"
    assert admin.values["retention.ms"] == WEEK_MS


def test_a_topic_as_wanted_is_left_alone(ensure: Ensure) -> None:
    """Nothing is applied, and the report says so."""
    admin = FakeAdmin(topic=FoundTopic("t", 12, 1), settings=as_wanted())
    report = ensure(admin)
    assert admin.changes is None
    assert not any(setting.applied for setting in report.settings)


def test_what_differs_is_applied_and_reported(ensure: Ensure) -> None:
    """Only the setting that differs is sent."""
    admin = FakeAdmin(topic=FoundTopic("t", 12, 3), settings=as_wanted(3) | {"min.insync.replicas": "1"})
    report = ensure(admin)
    assert admin.changes == {"min.insync.replicas": "2"}
    assert [(s.setting, s.wanted, s.found) for s in report.settings if s.applied] == [("min.insync.replicas", "2", "1")]


def test_a_longer_retention_that_somebody_chose_stays(ensure: Ensure) -> None:
    """Unlimited, and more than a week, are both enough."""
    for longer in ("-1", "2592000000"):
        admin = FakeAdmin(topic=FoundTopic("t", 12, 1), settings=as_wanted() | {"retention.ms": longer})
        ensure(admin)
        assert admin.changes is None


def test_another_partition_count_is_refused(ensure: Ensure) -> None:
    """Runs would change partitions, so the count is never altered."""
    with pytest.raises(TopicError, match="6 partitions, not 12"):
        ensure(FakeAdmin(topic=FoundTopic("t", 6, 1)), partitions=12)


def test_a_partition_count_that_nobody_asked_for_is_not_checked(ensure: Ensure) -> None:
    """An existing topic keeps its own, more or fewer than the default; its settings are checked all the same."""
    for count in (1, 24):
        admin = FakeAdmin(topic=FoundTopic("t", count, 1), settings=as_wanted() | {"cleanup.policy": "compact"})
        assert ensure(admin).partitions == count
        assert admin.changes == {"cleanup.policy": "delete"}


def test_more_acknowledging_copies_than_wanted_stay(ensure: Ensure) -> None:
    """Somebody meant it; only where no write could be acknowledged any more is it brought down."""
    for copies, in_sync, changes in ((3, "3", None), (2, "2", None), (3, "4", {"min.insync.replicas": "2"})):
        settings = as_wanted(copies) | {"min.insync.replicas": in_sync}
        admin = FakeAdmin(topic=FoundTopic("t", 12, copies), settings=settings)
        ensure(admin)
        assert admin.changes == changes


def test_another_replication_factor_is_refused_only_if_it_was_asked_for(ensure: Ensure) -> None:
    """An existing topic keeps its own unless the user says a number."""
    admin = FakeAdmin(topic=FoundTopic("t", 12, 1), settings=as_wanted())
    assert ensure(admin).replication_factor == 1
    with pytest.raises(TopicError, match="1 copies, not 3"):
        ensure(admin, replication_factor=3)


def test_a_retention_that_is_too_short_is_refused(ensure: Ensure) -> None:
    """Below seven days the store could not be rebuilt."""
    with pytest.raises(TopicError, match="too short"):
        ensure(FakeAdmin(), retention_days=6)


@pytest.mark.parametrize(
    ("setting", "found", "met"),
    [
        (WantedSetting("a", "delete"), "delete", True),
        (WantedSetting("a", "delete"), "compact", False),
        (WantedSetting("a", "delete"), None, False),
        (WantedSetting("a", "5", at_least=True), "4", False),
        (WantedSetting("a", "5", at_least=True), "50", True),
        (WantedSetting("a", "5", at_least=True), None, False),
    ],
)
def test_a_setting_is_met_by_its_value_or_a_larger_one(setting: WantedSetting, found: str | None, *, met: bool) -> None:
    """Larger only where larger is harmless."""
    assert setting.is_met_by(found) is met
