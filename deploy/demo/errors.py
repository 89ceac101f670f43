"""What the demo can fail with, besides finding something missing.

DeployError
├── ExamplesError     the example agents are not to be had
└── QueryError        the query service did not answer, or not with 200
"""

from deploy.errors import DeployError


class ExamplesError(DeployError):
    """The example agents are not to be had."""


class QueryError(DeployError):
    """The query service did not answer, or not with 200."""
