"""The text of Kafka's configuration files for one node, broker and controller at once. Pure; `kafka` uses it."""

from pathlib import Path

from deploy.local_stack.ports import LOOPBACK

NODE_ID = 1


def server_properties(*, port: int, controller_port: int, data: Path) -> str:
    """Give `server.properties`: loopback only, durable, quick to start."""
    return _properties(
        {
            "process.roles": "broker,controller",
            "node.id": NODE_ID,
            "controller.quorum.voters": f"{NODE_ID}@{LOOPBACK}:{controller_port}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller_port}",
            "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{port}",
            "inter.broker.listener.name": "PLAINTEXT",
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
