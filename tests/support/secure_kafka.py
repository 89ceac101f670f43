"""A local Kafka that also listens with TLS and a password, as a server of somebody else's would."""

from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from agenttracer_cli.local_stack.files import write_atomically
from agenttracer_cli.local_stack.kafka.server import KafkaServer
from agenttracer_cli.local_stack.ports import LOOPBACK, PortBook
from tests.support.stacks import free_port

USERNAME, PASSWORD = "agenttracer", "only-for-tests"
_LISTENER = "listener.name.sasl_ssl"
_JAAS = "org.apache.kafka.common.security.plain.PlainLoginModule required"


class SecureKafka(KafkaServer):
    """One node whose `secure_bootstrap` takes SASL_SSL with mechanism PLAIN and nothing else."""

    def __init__(self, state_dir: Path) -> None:
        super().__init__(state_dir, ports=PortBook(state_dir), report=lambda _: None)
        self._secure_port = free_port()
        authority = trustme.CA()
        self.ca_file = state_dir / "ca.pem"
        authority.cert_pem.write_to_path(str(self.ca_file))
        certificate = authority.issue_cert(LOOPBACK)
        key = load_pem_private_key(certificate.private_key_pem.bytes(), None)
        self._store = state_dir / "broker.pem"
        chain = b"".join(blob.bytes() for blob in certificate.cert_chain_pems)
        # Kafka reads keys in PKCS 8 alone
        self._store.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + chain)

    @property
    def secure_bootstrap(self) -> str:
        return f"{LOOPBACK}:{self._secure_port}"

    def settings(self, prefix: str, *, password: str = PASSWORD) -> dict[str, str]:
        """Environment variables by which a service with this prefix reaches it."""
        told = {"PROTOCOL": "SASL_SSL", "CA_FILE": self.ca_file, "SASL_MECHANISM": "PLAIN", "USERNAME": USERNAME}
        return {f"{prefix}KAFKA_SECURITY__{name}": str(value) for name, value in {**told, "PASSWORD": password}.items()}

    def _write_configuration(self) -> None:
        super()._write_configuration()
        more = {
            "listeners": f",SASL_SSL://{self.secure_bootstrap}",
            "advertised.listeners": f",SASL_SSL://{self.secure_bootstrap}",
            "listener.security.protocol.map": ",SASL_SSL:SASL_SSL",
        }
        lines = [line + more.get(line.partition("=")[0], "") for line in self._properties.read_text().splitlines()]
        lines += [
            "sasl.enabled.mechanisms=PLAIN",
            f'{_LISTENER}.plain.sasl.jaas.config={_JAAS} user_{USERNAME}="{PASSWORD}";',
            f"{_LISTENER}.ssl.keystore.type=PEM",
            f"{_LISTENER}.ssl.keystore.location={self._store}",
        ]
        write_atomically(self._properties, "\n".join(lines) + "\n")
