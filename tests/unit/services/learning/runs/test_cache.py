"""Models that a user's clones share."""

import os
import threading
from pathlib import Path

import pytest

from services.learning.runs import cache as cache_module
from services.learning.runs.cache import KEPT, UserCache, key_of, user_cache_folder

FILES = {"manifest.json": "{}", "report/index.html": "<p>"}


@pytest.fixture
def made(tmp_path: Path) -> Path:
    folder = tmp_path / "made"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "target").mkdir()
    return tmp_path / "target"


class Warned(UserCache):
    """A cache whose warnings are kept."""

    def __init__(self, root: Path) -> None:
        self.told: list[str] = []
        super().__init__(root, self.told.append)


def named(_: Path) -> str:
    return "v1"


def content(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_what_was_put_is_taken_whole(tmp_path: Path, made: Path, target: Path) -> None:
    cache = Warned(tmp_path / "cache")
    assert cache.take("a", target, named) is None
    cache.put("a", made)
    assert cache.take("a", target, named) == target / "v1"
    assert content(target / "v1") == FILES
    assert cache.take("b", target, named) is None
    assert [path.name for path in target.iterdir()] == ["v1"]
    assert [path.name for path in (tmp_path / "cache" / "models").iterdir()] == ["a"]
    assert cache.told == []


@pytest.mark.parametrize("damage", ["content/manifest.json", "entry.json", "content/report/index.html"])
def test_a_damaged_entry_is_not_taken(damage: str, tmp_path: Path, made: Path, target: Path) -> None:
    cache = Warned(tmp_path / "cache")
    cache.put("a", made)
    (tmp_path / "cache" / "models" / "a" / damage).write_text("[]")
    assert cache.take("a", target, named) is None
    assert "damaged" in cache.told[0]
    assert list(target.iterdir()) == []
    cache.put("a", made)
    assert cache.take("a", target, named) == target / "v1"


def test_a_file_too_many_or_too_few_is_damage(tmp_path: Path, made: Path, target: Path) -> None:
    cache = Warned(tmp_path / "cache")
    content = tmp_path / "cache" / "models" / "a" / "content"
    cache.put("a", made)
    (content / "more").touch()
    assert cache.take("a", target, named) is None
    cache.put("a", made)
    (content / "manifest.json").unlink()
    assert cache.take("a", target, named) is None


def test_a_cache_that_cannot_be_written_is_a_warning(tmp_path: Path, made: Path, target: Path) -> None:
    # A file in the place of a folder: the superuser, too, cannot write below it.
    (tmp_path / "cache").write_text("")
    cache = Warned(tmp_path / "cache")
    cache.put("a", made)
    assert "was not kept in the cache" in cache.told[0]
    assert cache.take("a", target, named) is None


def test_a_full_disk_leaves_nothing_half(
    tmp_path: Path, made: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = Warned(tmp_path / "cache")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache_module, "publish", full)
    cache.put("a", made)
    assert cache.told == [f"The model was not kept in the cache {tmp_path / 'cache'} (No space left on device)."]
    assert list((tmp_path / "cache" / "models").iterdir()) == []
    assert cache.take("a", target, named) is None


def test_only_the_newest_stay(tmp_path: Path, made: Path, target: Path) -> None:
    cache = Warned(tmp_path / "cache")
    models = tmp_path / "cache" / "models"
    for number in range(KEPT):
        cache.put(f"k{number}", made)
        os.utime(models / f"k{number}", (1000 + number, 1000 + number))
    (models / ".new-abandoned").mkdir()
    os.utime(models / ".new-abandoned", (1000, 1000))
    assert cache.take("k0", target, named) is not None
    cache.put("fresh", made)
    assert {path.name for path in models.iterdir()} == {"fresh", "k0", *(f"k{n}" for n in range(2, KEPT))}


def test_several_at_once_end_with_one_whole_entry(tmp_path: Path, made: Path) -> None:
    caches = [Warned(tmp_path / "cache") for _ in range(6)]
    targets = [tmp_path / f"target{number}" for number in range(6)]
    together = threading.Barrier(6)
    found: list[Path | None] = [None] * 6

    def work(number: int) -> None:
        targets[number].mkdir()
        together.wait()
        caches[number].put("a", made)
        found[number] = caches[number].take("a", targets[number], named)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert found == [target / "v1" for target in targets]
    assert [content(target / "v1") for target in targets] == [FILES] * 6
    assert [each.told for each in caches] == [[]] * 6


def test_every_part_changes_the_key() -> None:
    keys = {
        key_of("shop", "r", {"torch": "1"}),
        key_of("shop", "s", {"torch": "1"}),
        key_of("shop", "r", {"torch": "2"}),
    }
    assert len(keys) == 3
    assert key_of("shop", {"a": 1, "b": 2}) == key_of("shop", {"b": 2, "a": 1})


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"ZHIYIN_CACHE": "/one", "XDG_CACHE_HOME": "/two"}, Path("/one")),
        ({"ZHIYIN_CACHE": "", "XDG_CACHE_HOME": "/two"}, Path("/two/zhiyin")),
        ({"XDG_CACHE_HOME": "relative"}, Path.home() / ".cache" / "zhiyin"),
    ],
)
def test_the_folder_of_a_user(environment: dict[str, str], folder: Path) -> None:
    assert user_cache_folder(environment) == folder


def test_a_user_without_a_home_has_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", none)
    assert user_cache_folder({}) is None
