"""How long a client that was refused for now is told to wait."""

import random


def retry_after_s(least_s: int, *, after_s: int = 0) -> str:
    """Whole seconds for a Retry-After header: `least_s` to three times that, on top of `after_s`.

    Without chance in it, all who were refused together would come back together.
    """
    return str(after_s + random.randint(least_s, 3 * least_s))  # noqa: S311 - jitter
