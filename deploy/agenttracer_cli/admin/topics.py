"""Gives a topic the settings on which the delivery guarantees depend: creates it, or checks it and changes what differs.

The name, the default partition count and the record limit come from the wire contract; requests to Kafka are in `kafka_admin`.
"""

from dataclasses import dataclass

from agenttracer.wire.topics import EVENTS_TOPIC, PARTITIONS_DEFAULT, RECORD_MAX_BYTES
from agenttracer_cli.admin.kafka_admin import FoundTopic, TopicAdmin, topic_admin
from agenttracer_cli.errors import TopicError
from servicekit.kafka import KafkaSecurity

RETENTION_MIN_DAYS = 7  # a rebuild of the store from the topic relies on it
_DAY_MS = 24 * 60 * 60 * 1000
_UNLIMITED = "-1"
# A record's limit is on its value; its key, its envelope and the batch's head come on top.
_MESSAGE_MARGIN_BYTES = 1024 * 1024
_SAFE_REPLICATION = 3  # one copy can be lost and one be in repair, and writes still reach two


@dataclass(frozen=True)
class WantedSetting:
    """One topic setting. With `at_least`, a larger value is kept, up to `at_most`."""

    name: str
    value: str
    at_least: bool = False
    at_most: int | None = None

    def is_met_by(self, found: str | None) -> bool:
        """Whether this value is acceptable."""
        if found is None or not self.at_least:
            return found == self.value
        if self.at_most is not None and int(found) > self.at_most:
            return False
        return found == _UNLIMITED or int(found) >= int(self.value)


@dataclass(frozen=True)
class SettingReport:
    """One setting after the check; `found` is None for a topic that was just created."""

    setting: str
    wanted: str
    found: str | None
    applied: bool


@dataclass(frozen=True)
class TopicReport:
    """A topic after the check."""

    name: str
    partitions: int
    replication_factor: int
    created: bool
    settings: tuple[SettingReport, ...]


def wanted_settings(*, replication_factor: int, retention_days: int = RETENTION_MIN_DAYS) -> tuple[WantedSetting, ...]:
    """Give the settings for a topic with that many copies."""
    return (
        WantedSetting("cleanup.policy", "delete"),
        WantedSetting("retention.ms", str(retention_days * _DAY_MS), at_least=True),
        WantedSetting("unclean.leader.election.enable", "false"),
        WantedSetting(
            "min.insync.replicas",
            "2" if replication_factor >= _SAFE_REPLICATION else "1",
            at_least=True,
            at_most=replication_factor,  # above the number of copies, no write would be acknowledged
        ),
        WantedSetting("compression.type", "producer"),
        WantedSetting("max.message.bytes", str(RECORD_MAX_BYTES + _MESSAGE_MARGIN_BYTES), at_least=True),
        WantedSetting("message.timestamp.type", "CreateTime"),
    )


async def ensure_topic(
    bootstrap: str,
    *,
    name: str = EVENTS_TOPIC,
    partitions: int | None = None,
    replication_factor: int | None = None,
    retention_days: int = RETENTION_MIN_DAYS,
    security: KafkaSecurity | None = None,
) -> TopicReport:
    """Create the topic, or check it and apply the settings that differ. Idempotent, and safe to run twice at once.

    Without `partitions` a new topic gets the contract's default; without `replication_factor` 3 copies, or 1 where there are
    fewer than three brokers; an existing one keeps its own. Raises TopicError if a requested partition count or replication
    factor differs (changing the first would move runs between partitions, the second is a reassignment), and if Kafka refuses or
    cannot be reached.
    """
    if retention_days < RETENTION_MIN_DAYS:
        raise TopicError(
            f"a retention of {retention_days} days is too short to rebuild the store; ask for {RETENTION_MIN_DAYS} or more"
        )
    async with topic_admin(bootstrap, security or KafkaSecurity()) as admin:
        copies = replication_factor or await _default_replication(admin)
        wanted = wanted_settings(replication_factor=copies, retention_days=retention_days)
        created = await admin.find(name) is None and await admin.create(
            name,
            partitions=partitions or PARTITIONS_DEFAULT,
            replication_factor=copies,
            settings={setting.name: setting.value for setting in wanted},
        )
        if created:
            settings = tuple(SettingReport(setting.name, setting.value, None, applied=True) for setting in wanted)
            return TopicReport(name, partitions or PARTITIONS_DEFAULT, copies, created=True, settings=settings)
        found = await admin.appeared(name)
        _refuse_other_shape(found, partitions=partitions, replication_factor=replication_factor)
        return await _apply(admin, found, retention_days=retention_days)


async def _default_replication(admin: TopicAdmin) -> int:
    return _SAFE_REPLICATION if await admin.broker_count() >= _SAFE_REPLICATION else 1


def _refuse_other_shape(found: FoundTopic, *, partitions: int | None, replication_factor: int | None) -> None:
    if partitions not in (None, found.partitions):
        raise TopicError(
            f"{found.name} has {found.partitions} partitions, not {partitions}; the count is fixed at creation, because "
            f"runs would change partitions: ask for {found.partitions}, or make a topic of another name and move over"
        )
    if replication_factor not in (None, found.replication_factor):
        raise TopicError(
            f"{found.name} has {found.replication_factor} copies, not {replication_factor}; bring it there with Kafka's "
            "kafka-reassign-partitions, then run this again"
        )


async def _apply(admin: TopicAdmin, found: FoundTopic, *, retention_days: int) -> TopicReport:
    wanted = wanted_settings(replication_factor=found.replication_factor, retention_days=retention_days)
    values = await admin.settings(found.name)
    missing = {setting.name: setting.value for setting in wanted if not setting.is_met_by(values.get(setting.name))}
    if missing:
        await admin.change_settings(found.name, missing)
    settings = tuple(
        SettingReport(setting.name, setting.value, values.get(setting.name), applied=setting.name in missing)
        for setting in wanted
    )
    return TopicReport(found.name, found.partitions, found.replication_factor, created=False, settings=settings)
