"""Releases from upload to production, through the API alone."""

import asyncio
from pathlib import Path

from shared.assistants.bundle import digest_of
from tests.integration.services.learning.publisher import SERVICES, Client, ScriptedTrainer, bundle_of, running
from tests.stack import eventually


async def test_a_release_goes_live_once_every_service_has_loaded_it(
    client: Client, trainer: ScriptedTrainer, tmp_path: Path
) -> None:
    data = bundle_of(tmp_path, "hello")
    service = client.service()
    before = await service.call("GET", "/v1/following")
    release = await client.publish(data)
    assert (release["number"], release["assistant"], release["bundle"]) == (1, "mini", digest_of(data))
    waiting = asyncio.create_task(service.call("GET", f"/v1/following?after={before['cursor']}&wait=20"))
    proving = await client.until(release, "proving")
    assert (proving["model"], proving["model_version"]) == ("mini", "v1")
    assert (await waiting)["cursor"] != before["cursor"]

    followed = await service.call("GET", "/v1/following")
    assert [each["id"] for each in followed["proving"]] == [release["id"]]
    assert followed["aliases"] == []
    assert await service.call("GET", f"/v1/bundles/{release['bundle']}") == data
    for name in SERVICES[:2]:
        await client.report(release["id"], name)
    assert (await client.release(release))["state"] == "proving"
    await client.report(release["id"], SERVICES[2])
    await client.until(release, "ready")
    followed = await service.call("GET", f"/v1/following?after={followed['cursor']}&wait=20")
    assert followed["proving"] == []
    assert [(each["alias"], each["release"]["id"]) for each in followed["aliases"]] == [("production", release["id"])]

    async def registered() -> bool:
        return trainer.pointed == [("mini", "v1")]

    await eventually(registered)
    assert not list((tmp_path / "home" / "data" / "publishing").iterdir())


async def test_the_same_bundle_again_is_the_release_that_there_is(client: Client, tmp_path: Path) -> None:
    first, second = bundle_of(tmp_path, "one"), bundle_of(tmp_path, "two")
    one = await client.live(first)
    assert (await client.publish(first))["id"] == one["id"]
    two = await client.live(second)
    assert await client.production() == two["id"]
    again = await client.publish(first)
    assert (again["id"], again["state"]) == (one["id"], "ready")
    assert await client.production() == one["id"]


async def test_what_a_service_refuses_is_refused_with_its_reason(client: Client, tmp_path: Path) -> None:
    good = await client.live(bundle_of(tmp_path, "good"))
    data = bundle_of(tmp_path, "bad")
    bad = await client.publish(data)
    await client.until(bad, "proving")
    await client.report(bad["id"], "dialogue")
    await client.report(bad["id"], "business", loaded=False, reason="rules/a.json:3: no such column")
    refused = await client.until(bad, "refused")
    assert refused["reason"] == "business cannot use it: rules/a.json:3: no such column"
    assert await client.production() == good["id"]
    problem = await client.call("PUT", "/v1/assistants/mini/aliases/canary", 409, json={"release": bad["id"]})
    assert "was refused: business cannot use it" in problem["detail"]
    again = await client.publish(data)
    assert again["id"] != bad["id"]


async def test_a_service_that_says_nothing_is_named(tmp_path: Path, url: str, trainer: ScriptedTrainer) -> None:
    async with running(tmp_path / "home", url, trainer, proving_seconds=0.3) as client:
        release = await client.publish(bundle_of(tmp_path, "hello"))
        await client.until(release, "proving")
        await client.report(release["id"], "intent")
        refused = await client.until(release, "refused")
        assert refused["reason"] == "business, dialogue did not load it within 0 s"


async def test_files_that_cannot_be_used_are_refused_with_file_and_line(client: Client, tmp_path: Path) -> None:
    other = await client.publish(bundle_of(tmp_path, "hello", name="other"), name="mini")
    assert (await client.until(other, "refused"))["reason"] == "assistant.yml: this is the assistant other, not mini"
    broken = await client.publish(
        bundle_of(tmp_path, "hello", **{"assistant.yml": "name: mini\ntitle: {en: M}\nlanguages: [fr]\n"})
    )
    assert (await client.until(broken, "refused"))["reason"].startswith("assistant.yml:3: ")
    secret = {"connectors/core.yml": "connector: core\nheaders:\n  X-Api-Key: 3f9c2a7d11e84b\n"}
    clear = await client.publish(bundle_of(tmp_path, "hello", **secret))
    reason = (await client.until(clear, "refused"))["reason"]
    assert reason.startswith("connectors/core.yml:3: this looks like a secret")
    assert "3f9c" not in reason


async def test_a_worse_model_is_refused_unless_it_is_forced(
    client: Client, trainer: ScriptedTrainer, tmp_path: Path
) -> None:
    trainer.refuse = "its model is worse"
    data = bundle_of(tmp_path, "hello")
    assert (await client.until(await client.publish(data), "refused"))["reason"] == "its model is worse"
    await client.live(data, force=True)


async def test_a_first_model_is_followed_by_the_whole_one(
    client: Client, trainer: ScriptedTrainer, tmp_path: Path
) -> None:
    trainer.preliminary = True
    data = bundle_of(tmp_path, "hello")
    first = await client.live(data)
    assert first["preliminary"]
    whole = (await client.call("GET", "/v1/assistants/mini/releases"))["releases"][0]
    assert (whole["number"], whole["bundle"]) == (2, first["bundle"])
    await client.until(whole, "proving")
    assert await client.production() == first["id"]
    for service in SERVICES:
        await client.report(whole["id"], service)
    whole = await client.until(whole, "ready")
    assert (whole["model_version"], whole["preliminary"]) == ("whole", False)
    assert await client.production() == whole["id"]
    assert [each.soon for each in trainer.trained] == [True, False]
    assert (await client.publish(data))["id"] == whole["id"]


async def test_a_whole_model_of_files_that_were_replaced_does_not_go_live(
    client: Client, trainer: ScriptedTrainer, tmp_path: Path
) -> None:
    trainer.preliminary = True
    await client.live(bundle_of(tmp_path, "one"))
    whole = (await client.call("GET", "/v1/assistants/mini/releases"))["releases"][0]
    await client.until(whole, "proving")
    trainer.preliminary = False
    two = await client.live(bundle_of(tmp_path, "two"))
    for service in SERVICES:
        await client.report(whole["id"], service)
    await client.until(whole, "ready")
    assert await client.production() == two["id"]


async def test_without_live_nothing_is_moved(client: Client, tmp_path: Path) -> None:
    data = bundle_of(tmp_path, "hello")
    release = await client.live(data, live=False)
    assert await client.production() is None
    await client.publish(data)
    assert await client.production() == release["id"]


async def test_models_of_other_tenants_have_their_names(client: Client, tmp_path: Path) -> None:
    other = client.of(tenant="acme")
    release = await other.live(bundle_of(tmp_path, "hello"))
    assert release["model"] == "acme.mini"
    assert (release["tenant"], release["number"]) == ("acme", 1)


async def test_nobody_sees_another_tenants_releases(client: Client, tmp_path: Path) -> None:
    data = bundle_of(tmp_path, "hello")
    release = await client.live(data)
    other = client.of(tenant="acme")
    digest, id = release["bundle"], release["id"]
    await other.call("GET", f"/v1/bundles/{digest}", 404)
    await other.call("GET", f"/v1/assistants/mini/releases/{id}", 404)
    await other.call("POST", "/v1/assistants/mini/releases", 422, json={"bundle": digest})
    await other.call("PUT", "/v1/assistants/mini/aliases/production", 404, json={"release": id})
    await other.call("DELETE", "/v1/assistants/mini/aliases/canary", 204)
    assert (await other.call("GET", "/v1/assistants/mini/releases"))["releases"] == []
    assert (await other.call("GET", "/v1/assistants"))["assistants"] == []
    assert (await other.call("GET", "/v1/following"))["aliases"] == []
    assert await client.production() == id
    assert len((await client.service().call("GET", "/v1/following"))["aliases"]) == 1


async def test_only_operators_publish_and_only_services_report(client: Client, tmp_path: Path) -> None:
    release = await client.live(bundle_of(tmp_path, "hello"))
    report = {"service": "intent", "instance": "i", "loaded": False}
    for caller in (client.of(roles=("agent",)), client.of(roles=("customer",)), client.service()):
        await caller.call("PUT", f"/v1/bundles/{release['bundle']}", 403, data=b"x")
        await caller.call("POST", "/v1/assistants/mini/releases", 403, json={"bundle": release["bundle"]})
        await caller.call("PUT", "/v1/assistants/mini/aliases/canary", 403, json={"release": release["id"]})
        await caller.call("DELETE", "/v1/assistants/mini/aliases/canary", 403)
    await client.call("POST", f"/v1/releases/{release['id']}/reports", 403, json=report)
    await client.of(roles=("agent",)).call("GET", "/v1/following", 403)
    await client.service().call("POST", f"/v1/releases/{'0' * 32}/reports", 404, json=report)
