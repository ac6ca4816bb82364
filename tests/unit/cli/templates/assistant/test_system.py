"""The small system that a new assistant comes with keeps what a system has to keep: the same key is done once."""

import json
import urllib.error
import urllib.request
from typing import Any

from tests.unit.cli.library import library_system


def call(url: str, method: str = "GET", key: str = "", body: Any = None) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Idempotency-Key": key} if key else {}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_a_key_is_done_once_and_another_again() -> None:
    with library_system() as url:
        renewals = f"{url}/members/C1001/loans/L-1/renewals"
        first = call(renewals, "POST", "k1", {"weeks": 2})
        assert first == (201, {"due": "2031-03-15"})
        assert call(renewals, "POST", "k1", {"weeks": 2}) == first
        assert call(renewals, "POST", "k2", {"weeks": 2}) == (201, {"due": "2031-03-29"})
        assert call(f"{url}/members/C1001/loans/L-1")[1]["renewals"] == 2


def test_what_is_not_there_or_reserved_is_refused() -> None:
    with library_system() as url:
        assert call(f"{url}/members/C1001/loans/L-9")[0] == 404
        assert call(f"{url}/nowhere")[0] == 404
        assert call(f"{url}/members/C1001/loans/L-9/renewals", "POST")[0] == 404
        assert call(f"{url}/members/C1001/loans/L-2/renewals", "POST") == (409, {"reason": "reserved"})
        assert call(f"{url}/members/C1002/loans") == (200, {"loans": []})
