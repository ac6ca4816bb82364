"""Bundles over HTTP: what is no bundle, what is too large, what the store cannot do."""

import os
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from shared.assistants.bundle import digest_of
from tests.integration.services.learning.publisher import Client, bundle_of


async def test_a_bundle_comes_back_byte_for_byte(client: Client, tmp_path: Path) -> None:
    data = bundle_of(tmp_path, "hello")
    assert await client.upload(data) == {"digest": digest_of(data), "bytes": len(data)}
    await client.upload(data)
    assert await client.call("GET", f"/v1/bundles/{digest_of(data)}") == data


async def test_wrong_digests_and_what_is_no_bundle_are_named_problems(client: Client, tmp_path: Path) -> None:
    data = bundle_of(tmp_path, "hello")
    problem = await client.call("PUT", f"/v1/bundles/{'0' * 64}", 422, data=data)
    assert problem["errors"] == [{"field": "digest", "message": "the body has another SHA-256 than the address says"}]
    bomb = BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.yml", bytes(20_000_000))
    for other in (b"", b"x", data[:-512], bomb.getvalue()):
        problem = await client.upload(other, 422)
        assert "no bundle" in problem["detail"]
    problem = await client.upload(data.replace(b"replies/en.yml", b"replies/../yml"), 422)
    await client.call("PUT", "/v1/bundles/short", 422, data=data)
    await client.call("PUT", f"/v1/bundles/{digest_of(data).upper()}", 422, data=data)
    await client.call("GET", f"/v1/bundles/{digest_of(data)}", 404)


async def test_other_bodies_have_the_usual_limit_and_bundles_their_own(client: Client) -> None:
    large = b"x" * 1_010_000
    problem = await client.call("POST", "/v1/assistants/mini/releases", 413, data=large)
    assert "1000000" in problem["detail"]
    assert "no bundle" in (await client.upload(large, 422))["detail"]


@pytest.mark.parametrize("damage", ["changed", "gone", "no folder"])
async def test_a_store_that_fails_says_so_and_can_be_mended(client: Client, tmp_path: Path, damage: str) -> None:
    data = bundle_of(tmp_path, "hello")
    await client.upload(data)
    store = tmp_path / "home" / "data" / "bundles"
    place = store / digest_of(data)[:2] / digest_of(data)
    if damage == "changed":
        place.write_bytes(data[:-1])
    elif damage == "gone":
        place.unlink()
    else:
        os.rename(store, tmp_path / "aside")
        store.write_text("no folder")
        await client.upload(bundle_of(tmp_path, "other"), 503)
    problem = await client.call("GET", f"/v1/bundles/{digest_of(data)}", 503)
    assert "store" in problem["detail"]
    if damage == "no folder":
        store.unlink()
        os.rename(tmp_path / "aside", store)
    await client.upload(data)
    assert await client.call("GET", f"/v1/bundles/{digest_of(data)}") == data
