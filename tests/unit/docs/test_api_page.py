"""docs/api.md names every error code, parameter and route of the query service."""

from collections.abc import Iterator
from pathlib import Path

from query_service.api.live.tail import TailQuery
from query_service.api.parameters import StatsQuery
from query_service.api.run_parameters import RunQuery, SelectingFilters
from query_service.api.statistics.compare import CompareQuery
from query_service.api.statistics.compare_runs import RunsQuery
from query_service.api.statistics.explain import ExplainQuery
from query_service.api.statistics.failures import GroupsQuery
from query_service.api.statistics.heatmap import HeatmapQuery
from query_service.api.statistics.parameters import SeriesQuery, WindowQuery
from query_service.api.statistics.usage import UsageQuery
from servicekit.http.errors import HttpError
from tests.unit.docs.pages import ROOT

PAGE = (Path(ROOT) / "docs" / "api.md").read_text(encoding="utf-8")
_NEVER_SENT = {"client_gone", "unprocessable"}  # the client has left; the rule that was broken stands in its place


def errors(kind: type[HttpError]) -> Iterator[type[HttpError]]:
    """Classes without classes below them: those that are raised."""
    if not kind.__subclasses__():
        yield kind
    for each in kind.__subclasses__():
        yield from errors(each)


def test_every_error_code_is_there() -> None:
    """Of both services."""
    shipped = [each for each in errors(HttpError) if not each.__module__.startswith("tests")]
    assert {each.code for each in shipped if f"`{each.code}`" not in PAGE} - _NEVER_SENT == set()


def test_every_parameter_is_there() -> None:
    """Of lists and of statistics."""
    queries = (
        RunQuery,
        StatsQuery,
        SeriesQuery,
        GroupsQuery,
        WindowQuery,
        HeatmapQuery,
        RunsQuery,
        ExplainQuery,
        TailQuery,
        UsageQuery,
    )
    parameters = {name for query in queries for name in query.model_fields}
    assert {name for name in parameters if f"`{name}`" not in PAGE} == set()
    of_sides = {f"{side}_{name}" for side in "ab" for name in SelectingFilters.model_fields}
    assert set(CompareQuery.model_fields) == of_sides, "the page names the filters of a list for them"
