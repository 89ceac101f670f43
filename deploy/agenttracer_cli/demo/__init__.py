"""The demo: the SDK's examples sent through a running pipeline, and all of it read back. Only its entry points are public."""

from agenttracer_cli.demo.run_demo import run_demo
from agenttracer_cli.demo.week import send_week

__all__ = ["run_demo", "send_week"]
