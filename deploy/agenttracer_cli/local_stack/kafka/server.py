"""Apache Kafka in KRaft mode as a server of the local stack.

Its data directory is formatted once. It counts as ready when it answers a request over its own protocol.
"""

import base64
import os
import subprocess
import uuid
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from pydantic import SecretStr

from agenttracer_cli.errors import NotRunningError, StartError
from agenttracer_cli.local_stack.files import secret, write_atomically
from agenttracer_cli.local_stack.kafka.config import USER, log4j2_properties, server_properties
from agenttracer_cli.local_stack.kafka.jars import kafka_class_path
from agenttracer_cli.local_stack.kafka.java import Java, choose_java
from agenttracer_cli.local_stack.kafka.probe import cluster_id_at
from agenttracer_cli.local_stack.ports import LOOPBACK, PortBook, accepts_connections
from agenttracer_cli.local_stack.server import Launch, LocalServer, Report
from agenttracer_cli.local_stack.start_deadline import start_limit_s, too_slow
from servicekit.kafka import KafkaSecurity, SaslMechanism, SecurityProtocol

_CONTROLLER = "kafka_controller"
_HEAP = ("-Xms256m", "-Xmx768m")


class KafkaServer(LocalServer):
    """One Kafka node, broker and controller, on loopback. A protected one takes clients with its generated password alone."""

    name = "kafka"
    title = "Kafka"
    packages = ("jgo",)
    preferred_port: ClassVar[int] = 9092
    preferred_controller_port: ClassVar[int] = 9093

    def __init__(self, state_dir: Path, *, ports: PortBook, report: Report, protected: bool = False) -> None:
        super().__init__(state_dir, ports=ports, report=report)
        self._password_file = state_dir / "secrets" / "kafka_password"
        self._protected = protected

    @property
    def security(self) -> KafkaSecurity:
        """How clients connect. A state directory that was protected once stays so, whichever command looks at it."""
        if not self._protected and not self._password_file.exists():
            return KafkaSecurity()
        return KafkaSecurity(
            protocol=SecurityProtocol.SASL_PLAINTEXT,
            sasl_mechanism=SaslMechanism.PLAIN,
            username=USER,
            password=SecretStr(secret(self._password_file)),
        )

    @property
    def bootstrap(self) -> str:
        """The address for clients, `host:port`. Raises NotRunningError before the first start."""
        if self.port is None:
            raise NotRunningError("Kafka was never started here; run `agenttracer up`, or name another Kafka with --kafka")
        return f"{LOOPBACK}:{self.port}"

    def answers(self) -> bool:
        """Whether the broker on our port answers and is the one with our data."""
        expected = self._cluster_id()
        if expected is None or self.port is None or not accepts_connections(self.port):
            return False
        return cluster_id_at(self.bootstrap, self.security) == expected

    def _provision(self) -> None:
        """Fetch the jars and format the data directory, once."""
        if self._cluster_id() is None:
            self._write_configuration()
            self._format()

    def _prepare(self) -> Launch:
        self._write_configuration()
        return self._launch("kafka.Kafka", str(self._properties), heap=_HEAP)

    @cached_property
    def _java(self) -> Java:
        return choose_java(os.environ)

    @cached_property
    def _class_path(self) -> str:
        return kafka_class_path(report=self._report)

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _properties(self) -> Path:
        return self.folder / "server.properties"

    @property
    def _logging(self) -> Path:
        return self.folder / "log4j2.properties"

    @property
    def _formatted(self) -> Path:
        return self.folder / "cluster_id"  # written after the format succeeded, so its presence proves a whole one

    def _cluster_id(self) -> str | None:
        try:
            return self._formatted.read_text().strip()
        except FileNotFoundError:
            return None

    def _write_configuration(self) -> None:
        port = self._choose_port(self.preferred_port)
        controller = self._ports.choose(_CONTROLLER, preferred=self.preferred_controller_port)
        password = self.security.password
        text = server_properties(
            port=port,
            controller_port=controller,
            data=self._data,
            password=None if password is None else password.get_secret_value(),
        )
        write_atomically(self._properties, text, mode=0o600)
        write_atomically(self._logging, log4j2_properties())

    def _format(self) -> None:
        cluster_id = _new_cluster_id()
        arguments = ("format", "--ignore-formatted", "--cluster-id", cluster_id, "--config", str(self._properties))
        launch = self._launch("kafka.tools.StorageTool", *arguments, heap=())
        self._report(f"Kafka: formatting {self._data}")
        try:
            done = subprocess.run(  # noqa: S603  our own argument list, no shell
                launch.argv, env=launch.environment, capture_output=True, text=True, timeout=start_limit_s(), check=False
            )
        except subprocess.TimeoutExpired:
            raise too_slow("formatting Kafka's data directory") from None
        if done.returncode != 0:
            tail = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
            raise StartError(f"Kafka could not format {self._data}; remove that folder and try again. It said:\n{tail}")
        write_atomically(self._formatted, cluster_id)

    def _launch(self, main_class: str, *arguments: str, heap: tuple[str, ...]) -> Launch:
        scratch = self.folder / "tmp"  # native libraries are unpacked there; the system's /tmp may forbid running them
        scratch.mkdir(parents=True, exist_ok=True)
        options = (
            *heap,
            *self._java.quieting_options,
            "-XX:+ExitOnOutOfMemoryError",
            "-Djava.awt.headless=true",
            f"-Djava.io.tmpdir={scratch}",
            f"-Dlog4j2.configurationFile={self._logging}",
        )
        return Launch(
            argv=(str(self._java.executable), *options, "-cp", self._class_path, main_class, *arguments),
            environment={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "TZ": "UTC"},
            working_directory=self.folder,
        )


def _new_cluster_id() -> str:
    """A UUID as Kafka writes one. Never with a hyphen in front, which its command line would take for an option."""
    while (cluster_id := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return cluster_id
