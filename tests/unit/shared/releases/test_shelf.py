"""What a service keeps of releases on its disk."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.assistants.bundle import BundleError, digest_of, pack
from shared.contracts.releases import Release, ReleaseAlias
from shared.releases.shelf import Remembered, Shelf, WrongDigest

OLD = 1_000_000_000


def bundle_of(folder: Path, text: str = "name: shop\n") -> bytes:
    (folder / "flows").mkdir(parents=True, exist_ok=True)
    (folder / "assistant.yml").write_text(text, encoding="utf-8")
    (folder / "flows" / "a.yml").write_text("flow: a\n", encoding="utf-8")
    return pack(folder)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "shelf")


def test_a_bundle_is_unpacked_below_its_digest(tmp_path: Path, shelf: Shelf) -> None:
    data = bundle_of(tmp_path / "shop")
    folder = shelf.put(digest_of(data), data)
    assert (folder / "flows" / "a.yml").read_text(encoding="utf-8") == "flow: a\n"
    assert shelf.sound(digest_of(data)) == folder


def test_what_is_sound_is_not_replaced_under_those_who_read_it(tmp_path: Path, shelf: Shelf) -> None:
    data = bundle_of(tmp_path / "shop")
    folder = shelf.put(digest_of(data), data)
    before = folder.stat().st_ino
    assert shelf.put(digest_of(data), data).stat().st_ino == before
    assert [path.name for path in shelf.folder.iterdir()] == [digest_of(data)]


def test_another_bundle_is_refused_and_leaves_nothing(tmp_path: Path, shelf: Shelf) -> None:
    data = bundle_of(tmp_path / "shop")
    with pytest.raises(WrongDigest):
        shelf.put("0" * 64, data)
    with pytest.raises(BundleError):
        shelf.put(digest_of(b"no bundle"), b"no bundle")
    assert not shelf.folder.exists() or not list(shelf.folder.iterdir())


@pytest.mark.parametrize("harm", ["changed", "lost", "added", "link", "file"])
def test_what_was_tampered_with_is_not_sound_and_is_replaced(tmp_path: Path, shelf: Shelf, harm: str) -> None:
    data = bundle_of(tmp_path / "shop")
    digest = digest_of(data)
    folder = shelf.put(digest, data)
    match harm:
        case "changed":
            (folder / "assistant.yml").write_text("name: thief\n", encoding="utf-8")
        case "lost":
            (folder / "flows" / "a.yml").unlink()
        case "added":
            (folder / "flows" / "b.yml").write_text("flow: b\n", encoding="utf-8")
        case "link":
            (folder / "flows" / "a.yml").unlink()
            (folder / "flows" / "a.yml").symlink_to("/etc/passwd")
        case "file":
            os.rename(folder, tmp_path / "elsewhere")
            folder.write_text("a file\n", encoding="utf-8")
    assert shelf.sound(digest) is None
    shelf.put(digest, data)
    assert shelf.sound(digest) == folder


def test_only_what_nobody_needs_and_is_old_is_swept(tmp_path: Path, shelf: Shelf) -> None:
    needed, old, new = (bundle_of(tmp_path / name, f"name: {name}\n") for name in ("needed", "old", "new"))
    for data in (needed, old, new):
        shelf.put(digest_of(data), data)
    shelf.remember(Remembered())
    half = shelf.folder / ".half"
    half.mkdir()
    for name in (digest_of(needed), digest_of(old), half.name, "served.json"):
        os.utime(shelf.folder / name, (OLD, OLD))
    shelf.sweep({digest_of(needed)})
    assert {path.name for path in shelf.folder.iterdir()} == {digest_of(needed), digest_of(new), "served.json"}


def test_what_was_served_is_remembered(shelf: Shelf) -> None:
    assert shelf.recall() == Remembered()
    assert shelf.written() == 0
    release = Release(
        id="r1", tenant="acme", assistant="bank", number=1, bundle="0" * 64, state="ready", created_at=datetime.now(UTC)
    )
    remembered = Remembered(aliases=(ReleaseAlias(alias="production", release=release),), kept=(release,))
    shelf.remember(remembered)
    assert shelf.recall() == remembered
    assert shelf.written() > 0
    assert [path.name for path in shelf.folder.iterdir()] == ["served.json"]


def test_what_cannot_be_read_is_said_and_mended_by_the_next(shelf: Shelf) -> None:
    shelf.remember(Remembered())
    (shelf.folder / "served.json").write_bytes(b"\xff{")
    with pytest.raises(ValueError, match="cannot be read"):
        shelf.recall()
    shelf.remember(Remembered())
    assert shelf.recall() == Remembered()
