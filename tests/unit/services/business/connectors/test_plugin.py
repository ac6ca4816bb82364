"""Systems that speak no HTTP, by a small distribution that is really installed."""

import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from services.business.connectors.effects import Effects, Prepared
from services.business.connectors.outcomes import Done, NothingHappened, OutcomeUnknown, Refused
from services.business.connectors.plugin import open_plugin
from shared.assistants.plugins import GROUP, PluginContext
from shared.assistants.yaml_source import BrokenAssistant
from shared.errors import ConfigurationError
from tests.unit.services.business.connectors.conftest import MOMENT, Make
from tests.unit.services.business.connectors.test_effects import request

Ask = Callable[..., Awaitable[dict[str, Any] | None]]

SOURCE = """
from shared.assistants.plugins import Call, NotSent, PluginContext, Reply, System


class Mainframe:
    def __init__(self, context: PluginContext) -> None:
        self.context = context
        self.cards = {"1234": "open"}

    async def call(self, call: Call) -> Reply:
        if self.context.secret("core") != "key":
            raise NotSent("no key")
        verb, card = call.path.strip("/").split("/")
        if card == "0000":
            raise RuntimeError("the line dropped")
        if card not in self.cards:
            return Reply(status=404)
        if verb == "freeze":
            if self.cards[card] == "frozen":
                return Reply(status=409, body={"code": "already"})
            self.cards[card] = "frozen"
        return Reply(status=200, body={"state": self.cards[card], "who": call.body, "key": call.headers.get("Key")})

    async def close(self) -> None:
        pass


def open_mainframe(context: PluginContext) -> System:
    return Mainframe(context)


def broken(context: PluginContext) -> System:
    raise ValueError("no line")
"""

FILE = """
lookups:
  card:
    arguments: {card: {}}
    request: {path: "/read/{card}"}
    answer: {state: text}
actions:
  freeze:
    arguments: {card: {}}
    request: {method: POST, path: "/freeze/{card}", body: {customer: customer}}
    delivery: idempotent
    idempotency_header: Key
    refused: {409: response.code}
    answer: {state: text, key: text}
"""


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[None]:
    """The distribution `acme-mainframe`, on the path as an installed one is."""
    site = tmp_path / "site"
    info = site / "acme_mainframe-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "acme_mainframe.py").write_text(SOURCE, encoding="utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-mainframe\nVersion: 1.0\n", encoding="utf-8")
    names = {"mainframe": "open_mainframe", "broken": "broken", "absent": "nothing"}
    entries = "\n".join(f"{name} = acme_mainframe:{what}" for name, what in names.items())
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{entries}\n", encoding="utf-8")
    sys.path.insert(0, str(site))
    try:
        yield
    finally:
        sys.path.remove(str(site))
        sys.modules.pop("acme_mainframe", None)


@pytest.mark.usefixtures("installed")
async def test_a_plug_in_is_called_as_a_system_over_http_is(make: Make, ask: Ask) -> None:
    assistants = make(FILE, head="plugin: mainframe", variables={"ZHIYIN_SECRET_DEFAULT_BANK_CORE": "key"})
    assert await ask(assistants, card="1234") == {"state": "open"}
    assert await ask(assistants, card="5555") is None
    effects = Effects(assistants)
    ready = await effects.prepare(request(), MOMENT)
    assert isinstance(ready, Prepared)
    assert await effects.perform(request(), ready, key="k-1") == Done({"state": "frozen", "key": "k-1"})
    assert await effects.perform(request(), ready, key="k-2") == Refused("already", {"state": None, "key": None})
    lost = request(arguments={"card": "0000"})
    unknown = await effects.prepare(lost, MOMENT)
    assert isinstance(unknown, Prepared)
    with pytest.raises(OutcomeUnknown, match="RuntimeError"):
        await effects.perform(lost, unknown, key="k-3")


@pytest.mark.usefixtures("installed")
async def test_what_a_plug_in_did_not_send_has_not_happened(make: Make, ask: Ask) -> None:
    assistants = make(FILE, head="plugin: mainframe")
    with pytest.raises(NothingHappened, match="the secret 'core' is missing"):
        await ask(assistants, card="1234")


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("telex", "the plug-in 'telex' is not installed; installed: absent, broken, mainframe"),
        ("broken", "the plug-in 'broken' cannot be used: ValueError: no line"),
        ("absent", "the plug-in 'absent' cannot be used: AttributeError"),
    ],
)
async def test_a_plug_in_that_cannot_be_used_is_named_with_its_line(make: Make, name: str, said: str) -> None:
    with pytest.raises(BrokenAssistant, match=f"connectors/core.yml:1: {said}"):
        make(FILE, head=f"plugin: {name}")


async def test_what_is_not_installed_is_not_looked_for_elsewhere(make: Make, tmp_path: Path) -> None:
    """A bundle may bring files of every name; none of them is imported."""
    (tmp_path / "bank").mkdir()
    (tmp_path / "bank" / "mainframe.py").write_text("raise SystemExit", encoding="utf-8")
    with pytest.raises(BrokenAssistant, match="is not installed; installed: none"):
        make(FILE, head="plugin: mainframe")


@pytest.mark.usefixtures("installed")
def test_a_name_that_is_installed_twice_is_nobodys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "other" / "other-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\nmainframe = other:thing\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path / "other"))
    context = PluginContext(tenant="default", assistant="bank", connector="core", url=None, secret=str)
    with pytest.raises(ConfigurationError, match="installed twice"):
        open_plugin("mainframe", context)
