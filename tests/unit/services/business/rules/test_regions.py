import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.business.rules.expression_text import read_condition
from services.business.rules.graph import Table, read_graph
from services.business.rules.regions import TooLarge, condition, points, regions_of
from shared.assistants.rules import Value
from shared.assistants.yaml_source import Mistakes
from tests.unit.services.business.rules.jdm import chain, sources, table


def read(inputs: list[str], rows: list[tuple[str, ...]]) -> Table:
    source = sources({"r": chain(table(inputs, ["out"], rows))})["r.json"]
    graph = read_graph("r", "r.json", source, Mistakes())
    assert graph is not None
    assert graph.single is not None
    return graph.single


@pytest.mark.parametrize(
    ("value", "cells", "expected"),
    [
        (Value(one_of=["a", "b"]), ["'a'"], {"a", "b"}),
        (Value(type="boolean", optional=True), [], {True, False, None}),
        (Value(type="text"), ["'a'", "'another'"], {"a", "another", "another_"}),
        (Value(type="integer", least=0, most=9), ["> 3"], {0, 1, 2, 3, 4, 8, 9}),
        (Value(type="integer", least=5, most=5), ["> 3"], {5}),
        (Value(type="number", step=0.5, least=0, most=2), ["> 1"], {0, 0.5, 1, 1.5, 2}),
        (None, ["'a'", "true"], {"a", "another", True, False}),
        (None, [], {0}),
    ],
)
def test_a_value_stands_for_each_region(value: Value | None, cells: list[str], expected: set[object]) -> None:
    assert set(points(value, map(read_condition, cells))) == expected


CELLS = ["<= 3", "> 3", "in [1..4)", "2.5", "< 0 or > 10", ">= -1 and < 6.25", "not in [0, 7]", "!= 4"]


@given(cells=st.lists(st.sampled_from(CELLS), min_size=1, max_size=5), number=st.floats(-50, 50))
def test_every_number_is_answered_as_a_point_of_its_region_is(cells: list[str], number: float) -> None:
    tests = [condition(cell) for cell in cells]
    seen = {tuple(test(point) for test in tests) for point in points(Value(type="number"), map(read_condition, cells))}
    assert tuple(test(number) for test in tests) in seen


def test_rows_that_match_together_are_found() -> None:
    regions = regions_of(read(["n"], [("> 3",), ("> 5",), ("< 2",)]), {"n": Value(type="integer", least=0)})
    assert regions is not None
    assert set(regions.cases) == {0b000, 0b001, 0b011, 0b100}
    assert regions.within[1] & 0b001, "the first row matches wherever the second does"
    assert not regions.within[0] & 0b010


def test_two_columns_of_one_fact_are_one() -> None:
    regions = regions_of(read(["n", "n"], [(">= 3", "< 5"), ("< 3", ""), (">= 5", "")]), {"n": Value(type="integer")})
    assert regions is not None
    assert set(regions.cases) == {0b001, 0b010, 0b100}


@pytest.mark.parametrize("cell", ["$ > other", "len($) > 3", "$ % 2 == 0"])
def test_what_computes_has_no_regions(cell: str) -> None:
    assert regions_of(read(["n"], [(cell,)]), {"n": Value(type="number")}) is None
    assert regions_of(read(["?x"], [("n > 3",)]), {}) is None


def test_a_closed_fact_has_regions_whatever_is_asked() -> None:
    regions = regions_of(read(["n"], [("startsWith($, 'a')",)]), {"n": Value(one_of=["ab", "b"])})
    assert regions is not None
    assert regions.cases == {0b1: {"n": "ab"}, 0b0: {"n": "b"}}


def test_too_many_regions_are_not_looked_at() -> None:
    rows = [tuple("true" if place == other else "" for other in range(20)) for place in range(20)]
    with pytest.raises(TooLarge):
        regions_of(read([f"f{place}" for place in range(20)], rows), {})
