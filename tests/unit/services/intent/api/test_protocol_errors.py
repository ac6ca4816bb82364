"""A problem below `/v2` says `error` too; nothing else is changed on its way."""

import pytest
from starlette.responses import JSONResponse, Response
from starlette.testclient import TestClient

from services.intent.api.protocol_errors import ProtocolErrors
from shared.errors import PROBLEM_JSON

PROBLEM = {"title": "Not Found", "status": 404, "detail": "没有 such model"}


def problem() -> Response:
    return JSONResponse(PROBLEM, 404, {"Retry-After": "1"}, PROBLEM_JSON)


@pytest.mark.parametrize("path", ["/v2", "/v2/models/bank", "/v2/nothing"])
def test_a_problem_says_it_both_ways(path: str) -> None:
    answer = TestClient(ProtocolErrors(problem())).get(path)
    assert answer.json() == {**PROBLEM, "error": PROBLEM["detail"]}
    assert (answer.status_code, answer.headers["content-type"]) == (404, PROBLEM_JSON)
    assert answer.headers["retry-after"] == "1"
    assert int(answer.headers["content-length"]) == len(answer.content)


@pytest.mark.parametrize(
    ("path", "response"),
    [
        ("/v1/models", problem()),
        ("/", problem()),
        ("/v2", JSONResponse({"detail": "no problem"})),
        ("/v2", JSONResponse({"detail": "another form"}, 400)),
        ("/v2/models/shop/infer", Response(b"\x00\xff", media_type="application/octet-stream")),
    ],
)
def test_everything_else_is_as_it_was(path: str, response: Response) -> None:
    changed, bare = (TestClient(app).get(path) for app in (ProtocolErrors(response), response))
    assert changed.content == bare.content
    assert (changed.status_code, changed.headers) == (bare.status_code, bare.headers)
