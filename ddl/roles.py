"""The roles of the services, which migration 0002 makes. Each service logs in with its own and has the rights that it needs."""

from typing import Final

SERVICE_ROLES: Final = ("agenttracer_gateway", "agenttracer_worker", "agenttracer_query")
