"""What a tracer would send, in the forms that the integrations' tests ask about."""

from dataclasses import dataclass

from agenttracer.wire.events import Event, RunFinished, RunStarted, StepFinished
from agenttracer.wire.writer import to_json


@dataclass
class Seen:
    events: list[Event]

    @property
    def starts(self) -> list[RunStarted]:
        return [event for event in self.events if isinstance(event, RunStarted)]

    @property
    def steps(self) -> list[StepFinished]:
        """In the order in which the store reads them."""
        found = [event for event in self.events if isinstance(event, StepFinished)]
        return sorted(found, key=lambda step: (step.started_at, step.seq))

    @property
    def ends(self) -> list[RunFinished]:
        return [event for event in self.events if isinstance(event, RunFinished)]

    @property
    def end(self) -> RunFinished:
        (end,) = self.ends
        return end

    def step(self, name: str) -> StepFinished:
        (step,) = [step for step in self.steps if step.name == name]
        return step

    def tree(self) -> list[str]:
        """`kind:name` of each step in order, indented by its depth, with `!` where it errored."""
        by_id = {step.step_id: step for step in self.steps}

        def depth(step: StepFinished) -> int:
            parent = step.parent_step_id
            return 0 if parent is None else 1 + (depth(by_id[parent]) if parent in by_id else 0)

        return ["  " * depth(step) + f"{step.kind}:{step.name}" + ("!" if step.evidence else "") for step in self.steps]

    def sent(self) -> bytes:
        """Every byte that would go out."""
        return b"\n".join(map(to_json, self.events))

    def assert_whole(self) -> None:
        """Every run that ended says how many events it has, and numbers each of them once."""
        for end in self.ends:
            numbers = sorted(event.seq for event in self.events if event.run_id == end.run_id and hasattr(event, "seq"))
            assert numbers == list(range(end.emitted))
