"""One query process: settings, app, serve until SIGTERM. `python -m query_service`."""

from types import MappingProxyType

from query_service.app import app_on_postgres
from query_service.settings import QuerySettings
from servicekit import logs
from servicekit.auth.authenticate import NOBODY_RULE
from servicekit.http.connection_policy import BODY_TIMEOUT, ConnectionPolicy
from servicekit.http.errors import SlowBodyError
from servicekit.http.server import HttpServer
from servicekit.load_settings import read_settings, refuse_to_start


def main() -> None:
    """Serve until SIGTERM or SIGINT; then finish what is in flight and return."""
    settings = read_settings(QuerySettings)
    if settings.key_pepper is None and settings.anonymous_project is None:
        refuse_to_start(NOBODY_RULE, kind=QuerySettings)
    logs.configure(settings.log_level)
    app = app_on_postgres(settings)
    HttpServer(
        app,
        host=settings.host,
        port=settings.port,
        policy=connection_policy(settings),
        log=logs.Log("query"),
        tls=settings.tls,
        drain_timeout_s=settings.drain_timeout_s,
        on_shutdown=app.state.feeds.end,
    ).run()


def connection_policy(settings: QuerySettings) -> ConnectionPolicy:
    """As the settings say. A head that does not come in time closes its connection without an answer."""
    return ConnectionPolicy(
        head_max_bytes=settings.head_max_bytes,
        head_timeout_s=settings.head_timeout_s,
        connections_max=settings.connections_max,
        on_timeout=MappingProxyType({BODY_TIMEOUT: SlowBodyError}),
    )


if __name__ == "__main__":
    main()
