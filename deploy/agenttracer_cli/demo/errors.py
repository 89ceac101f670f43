"""Errors of the demo. A missing event or failure is no error but a result.

DeployError
├── ExamplesError    the example agents are missing
├── QueryApiError    the query service did not answer, or not with 200
└── WeekError        the gateway did not take the week of example runs
"""

from agenttracer_cli.errors import DeployError


class ExamplesError(DeployError):
    """The example agents are missing."""


class QueryApiError(DeployError):
    """The query service did not answer, or not with 200."""


class WeekError(DeployError):
    """The gateway did not take the week of example runs."""
