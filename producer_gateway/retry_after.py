"""How long a client that was refused for now is told to wait."""

import random


def retry_after_s(least_s: int) -> str:
    """Whole seconds for a Retry-After header, `least_s` to three times that: or all who were refused together come back so."""
    return str(random.randint(least_s, 3 * least_s))  # noqa: S311 - jitter
