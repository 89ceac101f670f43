"""One of several gateway processes, as `prefork` starts it. A single gateway is `python -m producer_gateway`."""

from producer_gateway.process.prefork import end_with_parent
from producer_gateway.process.server import serve
from producer_gateway.settings import GatewaySettings

if __name__ == "__main__":
    end_with_parent()
    serve(GatewaySettings())
