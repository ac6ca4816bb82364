"""Problems: what a client is told."""

import inspect

import pytest

from shared import errors
from shared.errors import (
    Conflict,
    InvalidInput,
    Malformed,
    NotFound,
    Problem,
    TooManyRequests,
    Unauthenticated,
    UpstreamError,
    problem_for_status,
    responses,
)

PROBLEMS = [
    each for _, each in inspect.getmembers(errors, inspect.isclass) if issubclass(each, Problem) and each is not Problem
]


@pytest.mark.parametrize("problem", PROBLEMS)
def test_every_problem_has_a_type_and_a_status_of_its_own(problem: type[Problem]) -> None:
    assert [each.kind for each in PROBLEMS].count(problem.kind) == 1
    assert problem_for_status(problem.status) is problem
    assert problem.__name__ in errors.__all__
    assert problem.__name__ in (errors.__doc__ or "")
    document = problem().document("r-1")
    assert document == {
        "type": f"urn:zhiyin:problem:{problem.kind}",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.title,
        "errors": [],
        "request_id": "r-1",
    }


def test_a_wrong_field_is_named() -> None:
    problem = InvalidInput("too short", field="password")
    assert problem.document()["errors"] == [{"field": "password", "message": "too short"}]
    assert str(problem) == "too short"


def test_headers_say_when_to_come_back_in_whole_seconds_and_never_at_once() -> None:
    assert TooManyRequests("later", retry_after=1.2).headers == {"Retry-After": "2"}
    assert TooManyRequests("later", retry_after=0).headers == {"Retry-After": "1"}
    assert TooManyRequests("later").headers == {}
    assert Unauthenticated().headers == {"WWW-Authenticate": "Bearer"}


@pytest.mark.parametrize(
    ("status", "problem"),
    [(404, NotFound), (409, Conflict), (418, Malformed), (507, UpstreamError), (302, UpstreamError)],
)
def test_an_unknown_status_is_somebodys_mistake(status: int, problem: type[Problem]) -> None:
    assert problem_for_status(status) is problem


def test_a_route_documents_its_problems() -> None:
    documented = responses(404, 429)
    assert set(documented) == {404, 429}
    assert set(documented[404]["content"]) == {"application/problem+json"}
    with pytest.raises(KeyError):
        responses(418)
