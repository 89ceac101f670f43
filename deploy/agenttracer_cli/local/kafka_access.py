"""The command's settings for a Kafka with TLS or SASL. The services have settings of their own."""

from typing import Final

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings import SettingsError as UnreadableError

from agenttracer_cli.errors import SettingsError
from servicekit.kafka import KafkaSecurity

_PREFIX: Final = "AGENTTRACER_"
_VARIABLE: Final = f"{_PREFIX}KAFKA_SECURITY"


class KafkaAccess(BaseSettings):
    """Settings of the `agenttracer` command: environment variables `AGENTTRACER_KAFKA_SECURITY__…`."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, env_nested_delimiter="__", frozen=True, extra="ignore")

    kafka_security: KafkaSecurity = KafkaSecurity()
    """Plaintext, which fits a broker on loopback and nothing else. For an existing Kafka; the local one has a password."""


def read_kafka_security() -> KafkaSecurity:
    """Read the environment, and check that the certificate files are readable. Raises SettingsError, which shows no value."""
    try:
        security = KafkaAccess().kafka_security
        security.aiokafka_arguments()
    except ValidationError as error:
        raise SettingsError("; ".join(_problems(error))) from None
    except UnreadableError:
        raise SettingsError(f"{_VARIABLE} is not JSON; set {_VARIABLE}__PROTOCOL and the others one by one") from None
    except OSError as error:  # its text can name the file
        files = ", ".join(f"{_VARIABLE}__{name}" for name in ("CA_FILE", "CERT_FILE", "KEY_FILE"))
        raise SettingsError(f"a file of {files} cannot be used ({type(error).__name__})") from None
    return security


def _problems(error: ValidationError) -> list[str]:
    found = error.errors(include_input=False, include_url=False, include_context=False)
    return [f"{_PREFIX}{'__'.join(str(part).upper() for part in problem['loc'])}: {problem['msg']}" for problem in found]
