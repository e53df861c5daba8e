"""Address and credentials of a service's connection to Kafka, for FastStream and for a bare client."""

import ssl
from typing import Any

from faststream.security import BaseSecurity, SASLScram256, SASLScram512

from shared.settings import ServiceSettings


def kafka_security(settings: ServiceSettings) -> BaseSecurity | None:
    """SCRAM credentials of this service as FastStream wants them; None without sign-in (PLAINTEXT)."""
    if settings.kafka_security_protocol == "PLAINTEXT":
        return None
    scram = SASLScram256 if settings.kafka_sasl_mechanism == "SCRAM-SHA-256" else SASLScram512
    tls = settings.kafka_security_protocol == "SASL_SSL"
    return scram(
        settings.kafka_username,
        settings.kafka_password.get_secret_value(),
        ssl_context=ssl.create_default_context() if tls else None,
        use_ssl=tls,
    )


def kafka_client_options(settings: ServiceSettings) -> dict[str, Any]:
    """The same address and credentials for a bare aiokafka client (rebuild, dead letters, benchmarks)."""
    options: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_bootstrap_servers,
        "security_protocol": settings.kafka_security_protocol,
    }
    if settings.kafka_security_protocol != "PLAINTEXT":
        options |= {
            "sasl_mechanism": settings.kafka_sasl_mechanism,
            "sasl_plain_username": settings.kafka_username,
            "sasl_plain_password": settings.kafka_password.get_secret_value(),
        }
    if settings.kafka_security_protocol == "SASL_SSL":
        options["ssl_context"] = ssl.create_default_context()
    return options
