"""Which assistants are served, by which release, and with which systems."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services.business.connectors.assistants import BUILT_IN, Assistants
from services.business.connectors.lookups import Question, Served, look_up
from services.business.connectors.secrets import Secrets
from services.business.settings import Settings
from shared.assistants.yaml_source import BrokenAssistant
from tests.systems import CompanySystem, never
from tests.unit.services.business.connectors.conftest import MOMENT, FileRules, Make

PING = "lookups: {ping: {customer: optional, request: {path: /ping}, answer: {ok: text}}}"
PONG = PING.replace("ping: {", "pong: {", 1)

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, system: CompanySystem) -> Write:
    """Writes the folder of a release."""

    def folder(name: str, text: str = PING, *, head: str | None = None) -> Path:
        connectors = tmp_path / name / "connectors"
        connectors.mkdir(parents=True)
        head = f"url: {system.url}" if head is None else head
        (connectors / "core.yml").write_text(f"connector: core\n{head}\n{text}", encoding="utf-8")
        return tmp_path / name

    return folder


async def ping(served: Served | None) -> Any:
    assert served is not None
    (name,) = served.lookups
    question = Question(customer=None, moment=MOMENT)
    return await look_up(served, name, question, asyncio.get_running_loop().time() + 5)


async def test_a_release_serves_who_names_it_and_the_live_one_everybody_else(make: Make, write: Write) -> None:
    assistants = make(PING)
    assistants.add("default", "bank", "r1", write("r1", PONG))
    assistants.add("default", "bank", "r2", write("r2", PONG))

    def release(named: str | None, *, tenant: str = "default", assistant: str | None = "bank") -> str | None:
        served = assistants.find(tenant, assistant, named)
        return None if served is None else served.release

    assert [release(None), release("r1"), release("gone"), release(None, assistant=None)] == [BUILT_IN, "r1", "", ""]
    assistants.make_live("default", "bank", "r1")
    assert [release(None), release("r2"), release("gone"), release("")] == ["r1", "r2", "r1", ""]
    assistants.make_live("default", "bank", "r2")
    assistants.forget("default", "bank", "r1")
    assert [release(None), release("r1")] == ["r2", "r2"]
    assistants.forget("default", "bank", "r2")
    assert [release(None), release("r2")] == ["", ""]
    for tenant, assistant in (("other", "bank"), ("default", "shop"), ("other", None)):
        assert release(None, tenant=tenant, assistant=assistant) is None
        assert release("r1", tenant=tenant, assistant=assistant) is None
    with pytest.raises(KeyError):
        assistants.make_live("default", "bank", "r1")


async def test_an_assistant_of_another_tenant_has_releases_of_its_own(make: Make, write: Write) -> None:
    assistants = make(PING)
    assistants.add("acme", "bank", "r1", write("r1"))
    assert assistants.find("acme", "bank", None) is None
    assistants.make_live("acme", "bank", "r1")
    found = assistants.find("acme", "bank", "")
    assert found is not None
    assert (found.tenant, found.release) == ("acme", "r1")
    assistants.make_live("acme", "bank", None)
    assert assistants.find("acme", "bank", None) is None
    assistants.forget("acme", "bank", "never-added")


async def test_a_broken_release_is_refused_and_changes_nothing(make: Make, write: Write, system: CompanySystem) -> None:
    system.answers("GET", "/ping", {"ok": "yes"})
    assistants = make(PING)
    assistants.add("default", "bank", "r1", write("r1"))
    assistants.make_live("default", "bank", "r1")
    for name, text, said in (
        ("a", PING.replace("ok: text", "ok: {type: text, from: customr}"), "did you mean 'customer'"),
        ("b", "lookups: [", "not YAML"),
    ):
        with pytest.raises(BrokenAssistant, match=said) as broken:
            assistants.add("default", "bank", "r1", write(name, text))
        assert str(broken.value).startswith("connectors/core.yml:3")
    assert await ping(assistants.find("default", "bank", None)) == {"ok": "yes"}


async def test_releases_share_what_leads_to_a_system_until_nobody_uses_it(
    make: Make, write: Write, system: CompanySystem
) -> None:
    """Two releases side by side must not be twice what the system can bear."""
    system.answers("GET", "/ping", never)
    limited = f"url: {system.url}\nat_once: 1\ntimeout: 0.2"
    assistants = make(PING)
    for release in ("r1", "r2"):
        assistants.add("default", "bank", release, write(release, head=limited))
    both = [assistants.find("default", "bank", release) for release in ("r1", "r2")]
    await asyncio.gather(*(ping(each) for each in both), return_exceptions=True)
    assert system.busiest == 1
    assistants.forget("default", "bank", "r1")
    system.answers("GET", "/ping", {"ok": "yes"})
    assert await ping(assistants.find("default", "bank", "r2")) == {"ok": "yes"}


async def test_a_release_may_be_read_in_a_thread_and_replace_itself(
    make: Make, write: Write, system: CompanySystem
) -> None:
    system.answers("GET", "/ping", {"ok": "yes"})
    assistants = make(PING)
    folders = [write("one"), write("two", head=f"url: {system.url}\nat_once: 2")]
    for folder in folders:
        await asyncio.to_thread(assistants.add, "default", "bank", "r1", folder)
        assert await ping(assistants.find("default", "bank", "r1")) == {"ok": "yes"}
    threads = [
        threading.Thread(target=assistants.add, args=("default", "bank", f"t{number}", folders[0]))
        for number in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(assistants.find("default", "bank", f"t{number}") for number in range(4))


def settings(folder: Path, **more: Any) -> Settings:
    return Settings(home=folder.parent, assistant=folder, **more)


async def test_the_installation_says_where_a_system_is(write: Write, system: CompanySystem) -> None:
    folder = write("bank", head="title: {en: Core}")
    with pytest.raises(
        BrokenAssistant, match=r"connectors/core\.yml:1: there is no `url` here, nor under 'bank\.core'"
    ):
        Assistants(settings(folder), FileRules)
    system.answers("GET", "/ping", {"ok": "yes"})
    assistants = Assistants(settings(folder, connectors={"bank.core": {"url": system.url}}), FileRules)
    assert await ping(assistants.find("default", None, None)) == {"ok": "yes"}
    # Without a tenant the settings speak of the installation's own, whose networks are not another's.
    with pytest.raises(BrokenAssistant, match=r"nor under 'acme/bank\.core' in ZHIYIN_CONNECTORS"):
        assistants.add("acme", "bank", "r1", folder)
    await assistants.close()
    named = {"acme/bank.core": {"url": system.url}, "bank.core": {"url": "http://127.0.0.1:1"}}
    assistants = Assistants(settings(folder, connectors=named), FileRules)
    assistants.add("acme", "bank", "r1", folder)
    assert await ping(assistants.find("acme", "bank", "r1")) == {"ok": "yes"}
    await assistants.close()


async def test_an_assistant_without_connectors_is_not_served_here(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    assistants = Assistants(settings(tmp_path / "shop"), FileRules)
    assert assistants.own == "shop"
    assert assistants.find("default", None, None) is None
    await assistants.close()


async def test_secrets_are_those_of_the_assistant(write: Write, system: CompanySystem, tmp_path: Path) -> None:
    system.answers("GET", "/ping", {"ok": "yes"})
    for tenant in ("default", "acme"):
        (tmp_path / "keys" / tenant / "bank").mkdir(parents=True)
        (tmp_path / "keys" / tenant / "bank" / "core").write_text(f"key-of-{tenant}", encoding="utf-8")
    folder = write("bank", head=f"url: {system.url}\nauth: {{type: bearer, secret: core}}")
    assistants = Assistants(settings(folder, secrets=tmp_path / "keys"), FileRules)
    assistants.add("acme", "bank", "r1", folder)
    await ping(assistants.find("acme", "bank", "r1"))
    await ping(assistants.find("default", "bank", None))
    assert [each.headers["Authorization"] for each in system.asked] == ["Bearer key-of-acme", "Bearer key-of-default"]
    assert Secrets(tmp_path / "keys", {}).read("acme", "bank", "core") == "key-of-acme"
    await assistants.close()
