"""What learning is told of releases that are proven."""

from pathlib import Path

import pytest
from aiohttp import web

from shared.calls.client import ServiceClient
from shared.calls.discovery import FixedDiscovery
from shared.errors import ConfigurationError
from shared.releases.reports import Reports, reason_of
from tests.releases_server import releases_server
from tests.stack import eventually


async def test_each_release_is_reported_once_however_often_learning_has_to_be_told() -> None:
    async with releases_server() as learning:
        client = ServiceClient(FixedDiscovery({"learning": learning.address}))
        reports = Reports(client, "dialogue", "pod-1" * 100, lambda failures: 0.01)
        good = learning.add("acme", "bank", b"1", proving=True)
        bad = learning.add("acme", "bank", b"2", proving=True)
        failures = 4

        async def fault(_request: web.Request) -> web.Response | None:
            nonlocal failures
            failures -= 1
            return web.Response(status=503) if failures > 0 else None

        learning.fault = fault
        for _ in range(3):
            reports.tell(learning.proving, loaded={good.id}, refused={bad.id: "x" * 5000})

        async def told() -> bool:
            return len(learning.reports) == 2

        await eventually(told)
        found = dict(learning.reports)
        assert found[good.id].loaded
        assert found[bad.id].reason == "x" * 4000
        assert {request.headers["X-Tenant"] for request in learning.requests} == {"acme"}
        await reports.close()
        await client.close()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConfigurationError("/home/x/data/abc/flows/a.yml:3: no such slot"), "flows/a.yml:3: no such slot"),
        (ConfigurationError("/home/x/data/abc has no files"), "abc has no files"),
        (OSError(28, "No space left on device", "/home/x"), "this machine cannot keep it: No space left on device"),
        (RuntimeError("secret"), "it cannot be loaded: RuntimeError"),
    ],
)
def test_a_reason_is_for_the_author_and_says_nothing_of_the_machine(error: Exception, reason: str) -> None:
    assert reason_of(error, Path("/home/x/data/abc")) == reason
