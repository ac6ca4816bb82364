"""Releases in business: in the service as they are followed, in the processes of the worker from its shelf."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from services.business.releases import FollowedAssistants, ShelvedAssistants
from shared.assistants.bundle import digest_of, pack
from shared.contracts.releases import AliasName, Release, ReleaseAlias
from shared.errors import ConfigurationError
from shared.releases.shelf import Remembered, Shelf


class Serving:
    """Remembers what serves; a folder without its file cannot be used."""

    own = "bank"

    def __init__(self) -> None:
        self.releases: dict[tuple[str, str, str], str] = {}
        self.live: dict[tuple[str, str], str | None] = {}
        self.added = 0

    def add(self, tenant: str, assistant: str, release: str, folder: Path) -> None:
        if not (folder / "assistant.yml").is_file():
            raise ConfigurationError(f"{folder}/assistant.yml is missing")
        self.added += 1
        self.releases[tenant, assistant, release] = (folder / "assistant.yml").read_text(encoding="utf-8")

    def make_live(self, tenant: str, assistant: str, release: str | None) -> None:
        assert release is None or (tenant, assistant, release) in self.releases
        self.live[tenant, assistant] = release

    def find(self, tenant: str, assistant: str | None, release: str | None) -> Any:
        key = tenant, assistant or self.own
        return self.releases.get((*key, release or "")) or self.releases.get((*key, self.live.get(key) or ""))

    def forget(self, tenant: str, assistant: str, release: str) -> None:
        del self.releases[tenant, assistant, release]


def released(shelf: Shelf, written: Path, text: str, tenant: str = "acme", assistant: str = "bank") -> Release:
    """A release whose folder is on the shelf; its id is what it says."""
    folder = written / tenant / assistant / text
    folder.mkdir(parents=True)
    (folder / "assistant.yml").write_text(text, encoding="utf-8")
    data = pack(folder)
    shelf.put(digest_of(data), data)
    return Release(
        id=text, tenant=tenant, assistant=assistant, number=1, bundle=digest_of(data), state="ready",
        created_at=datetime.now(UTC),
    )  # fmt: skip


def named(release: Release, alias: AliasName = "production") -> ReleaseAlias:
    return ReleaseAlias(alias=alias, release=release)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "shelf")


async def test_the_service_serves_what_it_follows(shelf: Shelf, tmp_path: Path) -> None:
    serving = Serving()
    followed = FollowedAssistants(serving)
    old, new = released(shelf, tmp_path, "old"), released(shelf, tmp_path, "new")
    for release in (old, new):
        await followed.load(release, shelf.place(release.bundle))
    followed.serve([named(old), named(new, "canary")])
    assert serving.live == {("acme", "bank"): "old"}
    followed.serve([named(new)])
    followed.forget(old)
    assert (serving.live, serving.releases) == ({("acme", "bank"): "new"}, {("acme", "bank", "new"): "new"})
    with pytest.raises(ConfigurationError):
        await followed.load(old, tmp_path)


def test_a_process_loads_what_an_action_names_and_what_is_live_once(shelf: Shelf, tmp_path: Path) -> None:
    serving = Serving()
    shelved: Any = ShelvedAssistants(serving, shelf)
    shelved.find("acme", "bank", "old")
    assert not serving.releases, "nothing was published yet"
    old, new = released(shelf, tmp_path, "old"), released(shelf, tmp_path, "new")
    other = released(shelf, tmp_path, "theirs", tenant="beta")
    shelf.remember(Remembered(aliases=(named(new), named(other)), kept=(old,)))
    for _ in range(3):
        assert shelved.find("acme", "bank", "old") == "old"
        assert shelved.find("acme", None, None) == shelved.find("acme", "bank", "nowhere") == "new"
    assert set(serving.releases) == {("acme", "bank", "old"), ("acme", "bank", "new")}
    assert (serving.live, serving.added) == ({("acme", "bank"): "new"}, 2)
    assert shelved.find("acme", "bank", "theirs") == "new"
    assert ("beta", "bank", "theirs") not in serving.releases, "another tenant's release is none"
    shelf.remember(Remembered(aliases=(named(new), named(other))))
    assert shelved.find("acme", "bank", "old") == "new"
    assert set(serving.releases) == {("acme", "bank", "new")}


def test_a_shelf_that_is_damaged_keeps_what_serves(shelf: Shelf, tmp_path: Path) -> None:
    serving = Serving()
    shelved: Any = ShelvedAssistants(serving, shelf)
    old, new = released(shelf, tmp_path, "old"), released(shelf, tmp_path, "new")
    shelf.remember(Remembered(aliases=(named(old),)))
    shelved.find("acme", "bank", None)
    (shelf.place(new.bundle) / "assistant.yml").unlink()
    shelf.remember(Remembered(aliases=(named(new),), kept=(old,)))
    shelved.find("acme", "bank", "new")
    assert serving.live == {("acme", "bank"): "old"}
    (shelf.folder / "served.json").write_text("{", encoding="utf-8")
    shelved.find("acme", "bank", "old")
    assert serving.live == {("acme", "bank"): "old"}
