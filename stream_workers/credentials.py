"""How Faust is told to reach a Kafka that does not trust everybody: the services' common settings in Faust's own words."""

from typing import Any

import faust

from servicekit.kafka import KafkaSecurity


def credentials(security: KafkaSecurity) -> Any:  # noqa: ANN401 - faust.Credentials, untyped to us
    """Faust's credentials; None for plaintext. Reads the certificate files: raises OSError, ssl.SSLError."""
    arguments = security.aiokafka_arguments()
    context = arguments.get("ssl_context")
    if "sasl_mechanism" in arguments:
        return faust.SASLCredentials(
            username=arguments["sasl_plain_username"],
            password=arguments["sasl_plain_password"],
            mechanism=arguments["sasl_mechanism"],
            ssl_context=context,
        )
    return None if context is None else faust.SSLCredentials(context)
