"""The demo: the SDK's examples sent through a running pipeline, and all of it read back. Its entry point stands here, alone."""

from deploy.demo.run_demo import run_demo

__all__ = ["run_demo"]
