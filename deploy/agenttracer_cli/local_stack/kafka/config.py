"""The text of Kafka's configuration files for one node, broker and controller at once. Pure."""

from pathlib import Path

from agenttracer_cli.local_stack.ports import LOOPBACK

NODE_ID = 1
USER = "agenttracer"
_LOGIN = "org.apache.kafka.common.security.plain.PlainLoginModule"


def server_properties(*, port: int, controller_port: int, data: Path, password: str | None = None) -> str:
    """Give `server.properties`: loopback only, durable, quick to start.

    With a password nobody gets in without it, at either port: every user of a machine reaches its loopback.
    """
    return _properties(
        {
            "process.roles": "broker,controller",
            "node.id": NODE_ID,
            "controller.quorum.voters": f"{NODE_ID}@{LOOPBACK}:{controller_port}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"CLIENT://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller_port}",
            "advertised.listeners": f"CLIENT://{LOOPBACK}:{port}",
            "inter.broker.listener.name": "CLIENT",
            **_security(password),
            "log.dirs": data,
            # A topic is made by `agenttracer topics`, with its settings, or not at all.
            "auto.create.topics.enable": "false",
            # One node: what Kafka keeps for itself can have one copy only.
            "offsets.topic.replication.factor": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            # Fewer partitions than the default 50: each is a file to open at every start.
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.num.partitions": 4,
            "share.coordinator.state.topic.num.partitions": 4,
            # The default waits 3 s for more members before the first assignment of every group.
            "group.initial.rebalance.delay.ms": 0,
            # After a crash the controller admits the new broker only when the old one's session has run out (default 9 s).
            "broker.session.timeout.ms": 3000,
            "broker.heartbeat.interval.ms": 500,
            # For two cores.
            "num.network.threads": 2,
            "num.io.threads": 4,
            "num.recovery.threads.per.data.dir": 2,
        }
    )


def _security(password: str | None) -> dict[str, object]:
    protocol = "PLAINTEXT" if password is None else "SASL_PLAINTEXT"
    listeners = {"listener.security.protocol.map": f"CLIENT:{protocol},CONTROLLER:{protocol}"}
    if password is None:
        return {**listeners}
    login = f'{_LOGIN} required username="{USER}" password="{password}" user_{USER}="{password}";'
    return {
        **listeners,
        "sasl.enabled.mechanisms": "PLAIN",
        "sasl.mechanism.inter.broker.protocol": "PLAIN",
        "sasl.mechanism.controller.protocol": "PLAIN",
        "listener.name.client.plain.sasl.jaas.config": login,
        "listener.name.controller.plain.sasl.jaas.config": login,
    }


def log4j2_properties() -> str:
    """Give the logging configuration: warnings and worse, to standard output, which goes to the state directory's log."""
    return _properties(
        {
            "status": "error",
            "appender.out.type": "Console",
            "appender.out.name": "out",
            "appender.out.layout.type": "PatternLayout",
            "appender.out.layout.pattern": "%d{ISO8601} %-5p %c{1}: %m%n",
            "rootLogger.level": "warn",
            "rootLogger.appenderRef.out.ref": "out",
        }
    )


def _properties(values: dict[str, object]) -> str:
    return "".join(f"{key}={value}\n" for key, value in values.items())
