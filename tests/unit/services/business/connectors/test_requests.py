from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from services.business.connectors.outcomes import SystemRefused
from services.business.connectors.requests import call_of
from shared.assistants.connectors import Request

SCOPE: dict[str, Any] = {
    "card": "1234",
    "tags": ["a", None, "b"],
    "n": 3,
    "half": 0.5,
    "yes": True,
    "nothing": None,
    "one": {"id": "x"},
}


def test_a_request_is_filled_with_the_names_in_scope() -> None:
    request = Request.model_validate(
        {
            "method": "POST",
            "path": "/卡/{card}/{one.id}/{n}",
            "query": {"tag": "tags", "half": "half", "yes": "yes", "nothing": "nothing"},
            "headers": {"X-N": "n", "X-Nothing": "nothing"},
            "body": {"card": "card", "nothing": "nothing", "list": ["n", "nothing"], "deep": {"nothing": "nothing"}},
        }
    )
    call = call_of(request, SCOPE, seconds=2.0, query={"page": 2}, headers={"X-Key": "k"}, once=True)
    assert call.path == "/%E5%8D%A1/1234/x/3"
    assert call.query == (("tag", "a"), ("tag", "b"), ("half", "0.5"), ("yes", "true"), ("page", "2"))
    assert call.headers == {"X-N": "3", "X-Key": "k"}
    assert call.body == {"card": "1234", "list": [3], "deep": {}}
    assert (call.method, call.seconds, call.once) == ("POST", 2.0, True)


@given(st.text(max_size=20))
def test_a_value_in_the_path_never_leads_elsewhere(value: str) -> None:
    request = Request(path="/cards/{card}/limit")
    try:
        path = call_of(request, {"card": value}, seconds=1).path
    except SystemRefused:
        return
    assert path.split("/")[1::2] == ["cards", "limit"]
    assert URL(f"http://bank{path}").parts == ("/", "cards", value, "limit")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("/cards/{card}", ".."),
        ("/cards/{card}", "."),
        ("/cards/{card}", "../admin"),
        ("/cards/{card}", "a/../../admin"),
        ("/cards/{card}", "..\\admin"),
        ("/cards/.{card}", "."),
        ("/cards/{card}", ""),
        ("/cards/{card}", None),
        ("/cards/{card}", {"a": 1}),
        ("/cards/{card}", "a\x00"),
        ("/cards/{card}", "\ud800"),
        ("/cards/{card}", "x" * 9000),
    ],
)
def test_a_value_that_would_change_the_path_is_refused(path: str, value: Any) -> None:
    with pytest.raises(SystemRefused):
        call_of(Request(path=path), {"card": value}, seconds=1)


@pytest.mark.parametrize("value", ["a\r\nX-Admin: 1", "a\nb", "卡", {"a": 1}, "\x7f"])
def test_a_header_carries_one_printable_line(value: Any) -> None:
    request = Request.model_validate({"path": "/", "headers": {"X-Note": "note"}})
    with pytest.raises(SystemRefused):
        call_of(request, {"note": value}, seconds=1)


@pytest.mark.parametrize("value", [{"a": 1}, [["a"]]])
def test_a_parameter_is_no_object(value: Any) -> None:
    request = Request.model_validate({"path": "/", "query": {"q": "note"}})
    with pytest.raises(SystemRefused):
        call_of(request, {"note": value}, seconds=1)
