"""One process of a group, as `processes` starts it; a gateway that is alone is `python -m producer_gateway`."""

from producer_gateway.__main__ import serve
from producer_gateway.processes import end_with_parent
from producer_gateway.settings import GatewaySettings

if __name__ == "__main__":
    end_with_parent()
    serve(GatewaySettings())
