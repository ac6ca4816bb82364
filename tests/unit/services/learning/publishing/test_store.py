import errno
from pathlib import Path
from typing import Any

import pytest

from services.learning.publishing.store import BundleStore, DamagedBundle
from shared.assistants.bundle import digest_of
from shared.errors import ConfigurationError, Unavailable

DATA = b"a bundle"
DIGEST = digest_of(DATA)


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.fixture(params=["", "file://", "memory:/"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BundleStore:
    return BundleStore(f"{request.param}{tmp_path}/bundles")


async def test_what_was_put_is_read(store: BundleStore) -> None:
    with pytest.raises(DamagedBundle, match="has no bundle"):
        await store.get(DIGEST)
    await store.put(DIGEST, DATA)
    await store.put(DIGEST, DATA)
    assert await store.get(DIGEST) == DATA


async def test_what_was_changed_is_refused_and_can_be_put_again(tmp_path: Path) -> None:
    store = BundleStore(str(tmp_path))
    await store.put(DIGEST, DATA)
    (place,) = files_below(tmp_path)
    place.write_bytes(DATA[:-1])
    with pytest.raises(DamagedBundle, match="something else"):
        await store.get(DIGEST)
    await store.put(DIGEST, DATA)
    assert await store.get(DIGEST) == DATA


async def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = BundleStore(str(tmp_path))

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("services.learning.publishing.store.os.fsync", full)
        with pytest.raises(Unavailable, match=r"cannot be kept.*No space left on device; try again"):
            await store.put(DIGEST, DATA)
    assert files_below(tmp_path) == []
    await store.put(DIGEST, DATA)


async def test_a_store_that_is_away_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "bundles").write_text("no folder")
    store = BundleStore(str(tmp_path / "bundles"))
    with pytest.raises(
        Unavailable, match=r"cannot be kept, because of the store of bundles: (Not a directory|File exists)"
    ):
        await store.put(DIGEST, DATA)
    with pytest.raises(Unavailable, match="cannot be read"):
        await store.get(DIGEST)


@pytest.mark.parametrize("url", ["nothing://user:hunter2@x/y", "sftp://user:hunter2@x/y"])
def test_a_store_of_an_unknown_kind_is_a_matter_of_the_settings(url: str) -> None:
    with pytest.raises(ConfigurationError, match="ZHIYIN_STORE") as caught:
        BundleStore(url)
    assert "hunter2" not in str(caught.value)
