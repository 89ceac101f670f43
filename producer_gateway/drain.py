"""Whether this process is about to end. Who hears the signal says so; readiness, and whoever is cancelled then, ask."""


class Drain:
    """Set once."""

    def __init__(self) -> None:
        self.begun = False
