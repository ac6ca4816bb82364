"""Which assistant a conversation talks to: by tenant and name, by release, by a canary's share."""

import weakref
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.dialogue.assistant.assistants import Assistants, Live
from services.dialogue.settings import Company
from shared.contracts.releases import AliasName, Release, ReleaseAlias
from shared.errors import ConfigurationError, InvalidInput, Unavailable
from tests.unit.services.dialogue.assistants import MANIFEST, load, write_assistant


class Publisher:
    """Publishes assistants of one word."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.assistants = Assistants(load(folder / "built-in"), {"acme": Company(currency="EUR")})
        self.count = 0

    async def load(self, tenant: str, name: str, *, title: str = "Mini", languages: str = "[zh, en]") -> Release:
        self.count += 1
        manifest = MANIFEST.replace("name: mini", f"name: {name}").replace("Mini", title)
        folder = write_assistant(self.folder / str(self.count), manifest=manifest.replace("[zh, en]", languages))
        release = Release(
            id=f"r{self.count}", tenant=tenant, assistant=name, number=self.count, bundle="0" * 64, state="ready",
            model=name, model_version=f"v{self.count}", created_at=datetime.now(UTC),
        )  # fmt: skip
        await self.assistants.load(release, folder)
        return release

    def serve(self, *named: Release | tuple[Release, AliasName, float]) -> None:
        entries = [each if isinstance(each, tuple) else (each, "production", 1.0) for each in named]
        self.assistants.serve(
            [ReleaseAlias(alias=alias, release=release, share=share) for release, alias, share in entries]
        )


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    return Publisher(tmp_path)


def titles(live: Live) -> str:
    return live.assistant.title["en"]


async def test_each_tenant_has_its_own_and_else_the_one_of_the_settings(publisher: Publisher) -> None:
    of = publisher.assistants.of
    assert (titles(of("acme", "mini")), of("acme", "mini").release) == ("Mini", "")
    mine = await publisher.load("acme", "mini", title="Mine")
    bank = await publisher.load("acme", "bank", title="Bank")
    theirs = await publisher.load("beta", "bank", title="Theirs")
    publisher.serve(mine, bank, theirs)
    assert titles(of("acme", "mini")) == "Mine"
    assert titles(of("acme", "bank")) == "Bank"
    assert titles(of("beta", "bank")) == "Theirs"
    assert titles(of("beta", "mini")) == titles(of("other", "mini")) == "Mini"
    assert (of("acme", "bank").release, of("acme", "bank").model, of("acme", "bank").model_version) == (
        "r2", "bank", "v2",
    )  # fmt: skip
    assert publisher.assistants.names("acme") == ["bank", "mini"]
    assert publisher.assistants.names("other") == ["mini"]
    with pytest.raises(Unavailable, match="not here yet"):
        of("other", "bank")


async def test_a_companys_conventions_hold_for_its_releases_too(publisher: Publisher) -> None:
    mine, theirs = await publisher.load("acme", "mini"), await publisher.load("beta", "mini")
    assert publisher.assistants.of("acme", "mini").assistant.currency == "EUR"
    publisher.serve(mine, theirs)
    assert publisher.assistants.of("acme", "mini").assistant.currency == "EUR"
    assert publisher.assistants.of("beta", "mini").assistant.currency == "CNY"


async def test_a_canary_has_its_share_of_the_conversations_each_for_good(publisher: Publisher) -> None:
    old, new = await publisher.load("acme", "bank", title="Old"), await publisher.load("acme", "bank", title="New")

    def goes_by() -> dict[str, str]:
        return {name: titles(publisher.assistants.of("acme", "bank", name)) for name in map(str, range(400))}

    publisher.serve(old, (new, "canary", 0.25))
    first = goes_by()
    assert 60 < sum(title == "New" for title in first.values()) < 140
    assert goes_by() == first
    publisher.serve(old, (new, "canary", 0.5))
    assert all(goes_by()[name] == "New" for name, title in first.items() if title == "New")
    publisher.serve(old, (new, "canary", 0.0))
    assert set(goes_by().values()) == {"Old"}
    publisher.serve(old, (new, "canary", 1.0))
    assert set(goes_by().values()) == {"New"}
    publisher.serve(old)
    assert set(goes_by().values()) == {"Old"}


async def test_a_canary_may_stand_beside_the_assistant_of_the_settings(publisher: Publisher) -> None:
    new, alone = await publisher.load("acme", "mini", title="New"), await publisher.load("acme", "bank")
    publisher.serve((new, "canary", 0.5), (alone, "canary", 1.0))
    seen = {titles(publisher.assistants.of("acme", "mini", str(number))) for number in range(100)}
    assert seen == {"Mini", "New"}
    with pytest.raises(Unavailable):
        publisher.assistants.of("acme", "bank", "1")


async def test_what_is_published_under_another_name_is_refused(publisher: Publisher, tmp_path: Path) -> None:
    release = await publisher.load("acme", "bank")
    with pytest.raises(ConfigurationError, match="its name is 'mini', published as 'bank'"):
        await publisher.assistants.load(release, tmp_path / "built-in")


async def test_only_assistants_that_there_are_can_be_asked_for(publisher: Publisher) -> None:
    bank = await publisher.load("acme", "bank", languages="[en]")
    require = publisher.assistants.require
    publisher.serve(bank)
    for tenant in ("acme", None):
        require(tenant, "bank", "en")
        require(tenant, None, "zh")
    with pytest.raises(InvalidInput, match="'mother', only 'bank', 'mini'") as caught:
        require("acme", "mother", None)
    assert caught.value.errors[0].field == "assistant"
    # Who comes is not known: nothing is said of who has what.
    with pytest.raises(InvalidInput, match=r"'mother'$"):
        require(None, "mother", None)
    with pytest.raises(InvalidInput, match="'bank', only 'mini'"):
        require("beta", "bank", None)
    with pytest.raises(InvalidInput, match="bank speaks en") as caught:
        require("acme", "bank", "zh")
    assert caught.value.errors[0].field == "language"


async def test_a_release_that_is_forgotten_lives_as_long_as_its_turns(publisher: Publisher) -> None:
    first = await publisher.load("acme", "bank", title="First")
    publisher.serve(first)
    turn = publisher.assistants.of("acme", "bank")
    gone = weakref.ref(turn.assistant)
    publisher.serve(await publisher.load("acme", "bank", title="Second"))
    publisher.assistants.forget(first)
    assert titles(turn) == "First"
    assert titles(publisher.assistants.of("acme", "bank")) == "Second"
    del turn
    assert gone() is None
