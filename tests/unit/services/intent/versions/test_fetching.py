"""From what was registered to a verified folder: nothing else is taken, and what was fetched is there whole or not."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.responses import FileResponse, StreamingResponse
from starlette.staticfiles import StaticFiles

from services.intent.versions.fetching import obtain
from services.intent.versions.model_registry import Registered
from shared.nlu.manifest import Manifest, ModelRejected, read_source
from shared.nlu.registry_tags import DIGEST_TAG, VERSION_TAG
from tests.nearest.served import write_nearest
from tests.servers import serve
from tests.versions import damage

SECONDS = 20.0


class Located:
    """A model registry that says where every version is."""

    def __init__(self, location: str) -> None:
        self._location = location

    async def aliases(self, name: str) -> Mapping[str, Registered]:
        return {}

    async def find(self, name: str, version: str) -> Registered | None:
        return None

    async def location(self, registered: Registered) -> str:
        return self._location

    async def close(self) -> None:
        return


def registered(folder: Path, **tags: str) -> Registered:
    """A folder as it was registered."""
    known = {VERSION_TAG: folder.name, DIGEST_TAG: read_source(folder, Manifest).digest}
    return Registered("shapes", 1, str(folder), known | tags)


def corrupt(folder: Path) -> None:
    damage(folder / "centroids.json")


def another_manifest(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace("shapes", "shaped"))


def pickled(folder: Path) -> None:
    (folder / "extra.pkl").write_bytes(b"\x80\x04.")


def pickled_below(folder: Path) -> None:
    (folder / "more").mkdir()
    pickled(folder / "more")


def linked(folder: Path) -> None:
    (folder / "extra.json").symlink_to("/etc/hostname")


def gone(folder: Path) -> None:
    folder.rename(folder.parent / "elsewhere")


BAD: list[tuple[Callable[[Path], None], str]] = [
    (corrupt, "its SHA-256 differs"),
    (another_manifest, "is not the one that was registered"),
    (pickled, "of a kind that no model is loaded from"),
    (pickled_below, "of a kind that no model is loaded from"),
    (linked, "of a kind that no model is loaded from"),
    (gone, "cannot be read"),
]


@pytest.mark.parametrize(("spoil", "reason"), BAD)
async def test_a_folder_that_is_not_what_was_registered_is_refused(
    tmp_path: Path, spoil: Callable[[Path], None], reason: str
) -> None:
    folder = write_nearest(tmp_path, "t1")
    known = registered(folder)
    assert (await obtain(known, Located(str(folder)), folder.parent)).folder == folder
    spoil(folder)
    with pytest.raises(ModelRejected, match=reason):
        await obtain(known, Located(str(folder)), folder.parent)


@pytest.mark.parametrize("scheme", ["", "file://"])
async def test_a_version_may_be_where_it_was_registered(tmp_path: Path, scheme: str) -> None:
    folder = write_nearest(tmp_path / "with space", "t1")
    location = scheme + (str(folder).replace(" ", "%20") if scheme else str(folder))
    source = await obtain(registered(folder), Located(location), tmp_path / "models")
    assert (source.folder, source.manifest.version) == (folder, "t1")


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({VERSION_TAG: ""}, "it lacks its tags"),
        ({DIGEST_TAG: ""}, "it lacks its tags"),
        ({VERSION_TAG: "../t1"}, "it lacks its tags"),
        ({VERSION_TAG: "t2"}, "holds version t1, not t2"),
    ],
)
async def test_a_version_needs_the_tags_of_a_training(tmp_path: Path, tags: dict[str, str], reason: str) -> None:
    folder = write_nearest(tmp_path, "t1")
    with pytest.raises(ModelRejected, match=reason):
        await obtain(registered(folder, **tags), Located(str(folder)), tmp_path / "models")


async def test_files_that_only_a_library_could_fetch_are_left_alone(tmp_path: Path) -> None:
    folder = write_nearest(tmp_path, "t1")
    with pytest.raises(ModelRejected, match="files at s3: cannot be fetched"):
        await obtain(registered(folder), Located("s3://bucket/t1"), tmp_path / "models")


@pytest.fixture
async def remote(tmp_path: Path) -> AsyncIterator[tuple[Path, str]]:
    """A folder on another machine, and its address with a password."""
    folder = write_nearest(tmp_path / "remote", "t1")
    app = FastAPI()
    app.mount("/t1", StaticFiles(directory=folder))
    async with serve(app) as server:
        yield folder, server.base_url.replace("//", "//someone:secret@") + "/t1"


async def test_what_is_elsewhere_is_downloaded_once(remote: tuple[Path, str], tmp_path: Path) -> None:
    folder, address = remote
    models = tmp_path / "models" / "shapes"
    known = registered(folder)
    source = await obtain(known, Located(address), models)
    assert source.folder == models / "t1"
    assert {each.name: each.read_bytes() for each in source.folder.iterdir()} == {
        each.name: each.read_bytes() for each in folder.iterdir()
    }
    corrupt(folder)
    assert (await obtain(known, Located(address), models)).folder == source.folder
    assert [each.name for each in models.iterdir()] == ["t1"]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (corrupt, "its SHA-256 differs"),
        (another_manifest, "is not the one that was registered"),
        (lambda folder: (folder / "centroids.json").unlink(), "cannot be fetched from http://127.0.0.1/t1"),
        (lambda folder: (folder / "manifest.json").unlink(), "cannot be fetched from http://127.0.0.1/t1"),
    ],
)
async def test_a_download_that_goes_wrong_leaves_nothing_behind(
    remote: tuple[Path, str], tmp_path: Path, spoil: Callable[[Path], None], reason: str
) -> None:
    folder, address = remote
    known = registered(folder)
    spoil(folder)
    models = tmp_path / "models" / "shapes"
    with pytest.raises(ModelRejected, match=reason) as refused:
        await obtain(known, Located(address), models)
    assert "secret" not in str(refused.value)
    assert list(models.iterdir()) == []


async def test_the_event_loop_goes_on_while_the_disk_is_slow(
    remote: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, address = remote
    syncing, go_on = threading.Event(), threading.Event()

    def slow(_file: int) -> None:
        syncing.set()
        assert go_on.wait(SECONDS), "nobody else had a turn"

    monkeypatch.setattr("services.intent.versions.fetching.os.fsync", slow)
    beats: list[None] = []
    models = tmp_path / "models"
    fetching = asyncio.create_task(
        obtain(registered(folder), Located(address), models, beat=lambda: beats.append(None))
    )
    await asyncio.to_thread(syncing.wait, SECONDS)
    go_on.set()
    assert (await fetching).folder == models / "t1"
    assert len(beats) >= len(list(folder.iterdir())), "each file was told of"


async def test_a_download_that_is_cancelled_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = write_nearest(tmp_path / "remote", "t1")
    stuck, models = asyncio.Event(), tmp_path / "models"
    app = FastAPI()

    @app.get("/t1/manifest.json")
    async def manifest() -> FileResponse:
        return FileResponse(folder / "manifest.json")

    @app.get("/t1/{name}")
    async def never(name: str) -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            yield b"{"
            stuck.set()
            await ended.wait()

        return StreamingResponse(parts())

    ended = asyncio.Event()
    async with serve(app) as server:
        fetching = asyncio.create_task(obtain(registered(folder), Located(f"{server.base_url}/t1"), models))
        async with asyncio.timeout(SECONDS):
            await stuck.wait()
            fetching.cancel()
            with pytest.raises(asyncio.CancelledError):
                await fetching
        ended.set()
    assert list(models.iterdir()) == []
