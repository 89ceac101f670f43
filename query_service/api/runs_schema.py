"""The JSON form of the facets of runs."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Final, Self

from pydantic import ConfigDict, Field

from query_service.api.run_schema import ResponseSchema
from query_service.store.rows import FacetCount

NAMES_MAX: Final = 200
_EXAMPLE: Final[dict[str, Any]] = {
    "counted": 120,
    "exact": True,
    "facets": {
        "agent": [{"name": "support-bot", "count": 120}],
        "version": [{"name": "1.4.0", "count": 120}],
        "status": [{"name": "success", "count": 103}, {"name": "failure", "count": 17}],
        "failure_code": [{"name": "timeout", "count": 17}],
    },
}


class CountedName(ResponseSchema):
    """A name, and how many of the runs have it."""

    name: str
    count: int


class Facets(ResponseSchema):
    """Names by kind, the most frequent first."""

    agent: list[CountedName]
    version: list[CountedName]
    status: list[CountedName]
    failure_code: Annotated[list[CountedName], Field(description="Of the runs' first failures; a silence is `abandoned`.")]


class RunFacetsSchema(ResponseSchema):
    """How runs are told apart."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    counted: int
    exact: Annotated[bool, Field(description="False: there are more, and the newest of them were counted.")]
    facets: Facets

    @classmethod
    def of(cls, rows: Sequence[FacetCount], *, exact: bool) -> Self:
        """Add the counts up."""
        return cls(
            counted=sum(row.runs for row in rows),
            exact=exact,
            facets=Facets(
                agent=_facet((row.agent, row.runs) for row in rows),
                version=_facet((row.agent_version, row.runs) for row in rows),
                status=_facet((row.status, row.runs) for row in rows),
                failure_code=_facet((row.failure_code, row.runs) for row in rows if row.failure_code),
            ),
        )


def _facet(counted: Iterable[tuple[str, int]]) -> list[CountedName]:
    sums: Counter[str] = Counter()
    for name, count in counted:
        sums[name] += count
    most_first = sorted(sums.items(), key=lambda item: (-item[1], item[0]))
    return [CountedName(name=name, count=count) for name, count in most_first[:NAMES_MAX]]
