"""How a client of any service connects to a Kafka with TLS and SASL. Nothing here produces or consumes."""

import ssl
from enum import StrEnum
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, SecretStr, model_validator


class SecurityProtocol(StrEnum):
    """The values of Kafka's `security.protocol`."""

    PLAINTEXT = "PLAINTEXT"
    SSL = "SSL"
    SASL_PLAINTEXT = "SASL_PLAINTEXT"
    SASL_SSL = "SASL_SSL"


class SaslMechanism(StrEnum):
    """The SASL mechanisms that need a user name and a password."""

    PLAIN = "PLAIN"
    SCRAM_SHA_256 = "SCRAM-SHA-256"
    SCRAM_SHA_512 = "SCRAM-SHA-512"


class KafkaSecurity(BaseModel):
    """A part of a service's settings. Secrets print as stars."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    protocol: SecurityProtocol = SecurityProtocol.PLAINTEXT
    ca_file: Path | None = None
    """Certificates to trust; None takes the system's."""
    cert_file: Path | None = None
    """The client's own certificate chain, for mutual TLS."""
    key_file: Path | None = None
    sasl_mechanism: SaslMechanism = SaslMechanism.SCRAM_SHA_512
    """The strongest of those that need nothing but a password."""
    username: str | None = None
    password: SecretStr | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self._sasl() and (self.username is None or self.password is None):
            raise ValueError("username and password are needed with SASL")
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file come together")
        return self

    def aiokafka_arguments(self) -> dict[str, object]:
        """Keyword arguments that every aiokafka client takes. Reads the certificate files: raises OSError, ssl.SSLError."""
        arguments: dict[str, object] = {"security_protocol": self.protocol.value}
        if self.protocol in {SecurityProtocol.SSL, SecurityProtocol.SASL_SSL}:
            arguments["ssl_context"] = self._ssl_context()
        if self._sasl():
            assert self.password is not None
            arguments["sasl_mechanism"] = self.sasl_mechanism.value
            arguments["sasl_plain_username"] = self.username
            arguments["sasl_plain_password"] = self.password.get_secret_value()
        return arguments

    def _sasl(self) -> bool:
        return self.protocol in {SecurityProtocol.SASL_PLAINTEXT, SecurityProtocol.SASL_SSL}

    def _ssl_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ca_file)
        if self.cert_file is not None:
            context.load_cert_chain(self.cert_file, self.key_file)
        return context
