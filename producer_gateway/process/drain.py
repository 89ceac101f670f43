"""Whether this process is about to end. The signal handler sets it; readiness and cancelled requests read it."""


class Drain:
    """Set once."""

    def __init__(self) -> None:
        self.begun = False
