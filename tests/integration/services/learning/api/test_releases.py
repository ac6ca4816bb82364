"""The API of releases: bad input, pages, aliases."""

from pathlib import Path
from typing import Any

import pytest

from tests.integration.services.learning.publisher import Client, bundle_of

NOBODY = "0" * 32
BUNDLE = "0" * 64


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "bundle"),
        ({"bundle": "x"}, "bundle"),
        ({"bundle": BUNDLE.upper() + "A"}, "bundle"),
        ({"bundle": BUNDLE}, "bundle"),
        ({"bundle": BUNDLE, "force": "maybe"}, "force"),
        ({"bundle": BUNDLE, "tenant": "acme"}, "tenant"),
    ],
)
async def test_releases_of_nothing_name_the_field(client: Client, body: dict[str, Any], field: str) -> None:
    problem = await client.call("POST", "/v1/assistants/mini/releases", 422, json=body)
    assert [each["field"] for each in problem["errors"]] == [field]


@pytest.mark.parametrize("name", ["Mini", "a%20b", "x" * 65, "1a", "%00", "a'--"])
async def test_names_that_no_assistant_has_are_refused(client: Client, name: str) -> None:
    await client.call("GET", f"/v1/assistants/{name}/releases", 422)
    await client.call("POST", f"/v1/assistants/{name}/releases", 422, json={"bundle": BUNDLE})


async def test_an_assistant_without_releases_has_an_empty_list(client: Client) -> None:
    found = await client.call("GET", "/v1/assistants/mini/releases")
    assert found == {"releases": [], "aliases": [], "previous": None, "next_before": None}
    await client.call("GET", f"/v1/assistants/mini/releases/{NOBODY}", 404)
    await client.call("GET", "/v1/assistants/mini/releases/1", 422)
    await client.call("GET", "/v1/assistants/mini/releases?before=0", 422)
    await client.call("GET", "/v1/assistants/mini/releases?limit=101", 422)


async def test_pages_and_where_a_rollback_goes(client: Client, tmp_path: Path) -> None:
    made = [await client.live(bundle_of(tmp_path, f"reply {number}")) for number in range(3)]
    page = await client.call("GET", "/v1/assistants/mini/releases?limit=2")
    assert [each["number"] for each in page["releases"]] == [3, 2]
    assert page["previous"]["number"] == 2
    rest = await client.call("GET", f"/v1/assistants/mini/releases?limit=2&before={page['next_before']}")
    assert [each["number"] for each in rest["releases"]] == [1]
    assert rest["next_before"] is None
    # From there on a rollback goes further back, never forward again.
    for target in (made[1], made[0]):
        await client.call("PUT", "/v1/assistants/mini/aliases/production", json={"release": target["id"]})
    assert (await client.call("GET", "/v1/assistants/mini/releases"))["previous"] is None
    assert await client.call("GET", "/v1/assistants") == {
        "assistants": ["mini"],
        "aliases": (await client.call("GET", "/v1/following"))["aliases"],
    }


async def test_canary_and_shadow_come_and_go(client: Client, tmp_path: Path) -> None:
    release = await client.live(bundle_of(tmp_path, "hello"))
    path = "/v1/assistants/mini/aliases"
    moved = await client.call("PUT", f"{path}/canary", json={"release": release["id"], "share": 0.2})
    assert (moved["alias"], moved["share"], moved["release"]["id"]) == ("canary", 0.2, release["id"])
    for body in ({"release": release["id"], "share": 1.5}, {"release": release["id"], "share": "NaN"}, {"share": 0.1}):
        await client.call("PUT", f"{path}/canary", 422, json=body)
    await client.call("PUT", f"{path}/canary", 404, json={"release": NOBODY})
    await client.call("PUT", f"{path}/candidate", 422, json={"release": release["id"]})
    await client.call("DELETE", f"{path}/canary", 204)
    await client.call("DELETE", f"{path}/canary", 204)
    await client.call("DELETE", f"{path}/production", 409)
    named = (await client.call("GET", "/v1/assistants/mini/releases"))["aliases"]
    assert [each["alias"] for each in named] == ["production"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"service": "x" * 65, "instance": "i", "loaded": True},
        {"service": "intent", "instance": "i", "loaded": True, "reason": "x" * 4001},
        {"service": "intent\0", "instance": "i", "loaded": True},
    ],
)
async def test_reports_that_are_none_are_refused(client: Client, tmp_path: Path, body: dict[str, Any]) -> None:
    release = await client.live(bundle_of(tmp_path, "hello"))
    await client.service().call("POST", f"/v1/releases/{release['id']}/reports", 422, json=body)
