"""Reads the cluster id at a Kafka address over Kafka's protocol. Blocking; it can be called inside a running event loop."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from servicekit.kafka import KafkaSecurity

_TIMEOUT_S = 5.0


def cluster_id_at(bootstrap: str, security: KafkaSecurity) -> str | None:
    """Give the id of the cluster that answers there with at least one live broker; None if none does within 5 s."""
    with ThreadPoolExecutor(max_workers=1) as thread:  # the caller's thread may already run an event loop
        return thread.submit(lambda: asyncio.run(_ask(bootstrap, security))).result()


async def _ask(bootstrap: str, security: KafkaSecurity) -> str | None:
    arguments = security.aiokafka_arguments()
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, client_id="agenttracer-probe", **arguments)
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            await admin.start()
            cluster = await admin.describe_cluster()
    except (KafkaError, OSError, TimeoutError):
        return None
    finally:
        await admin.close()
    return str(cluster["cluster_id"]) if cluster["brokers"] else None
