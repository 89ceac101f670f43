"""The gateway, in as many processes as the settings say: until SIGTERM. `python -m producer_gateway`."""

import sys

from producer_gateway.process.prefork import Prefork
from producer_gateway.process.server import serve
from producer_gateway.settings import GatewaySettings
from servicekit import logs
from servicekit.auth.authenticate import NOBODY_RULE
from servicekit.load_settings import read_settings, refuse_to_start


def main() -> int:
    """Serve. The exit code is 0 when every process ended in order."""
    settings = read_settings(GatewaySettings)
    if settings.postgres_dsn is None and settings.anonymous_project is None:
        refuse_to_start(NOBODY_RULE, kind=GatewaySettings)
    if settings.processes > 1:
        logs.configure(settings.log_level)
        return _prefork(settings).run()
    serve(settings)
    return 0


def _prefork(settings: GatewaySettings) -> Prefork:
    try:
        return Prefork(settings)
    except OSError as error:
        refuse_to_start(f"cannot listen on {settings.host} port {settings.port}: {error.strerror}")


if __name__ == "__main__":
    sys.exit(main())
