"""What is kept is made once, is never half made, and is another for another key."""

from pathlib import Path

import pytest

from tests import kept as place
from tests.kept import digest_of, kept


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(place, "FOLDER", tmp_path / "kept")
    return tmp_path / "kept"


def test_it_is_made_once_a_key(folder: Path) -> None:
    made: list[Path] = []

    def make(fresh: Path) -> None:
        made.append(fresh)
        (fresh / "content").write_text(str(len(made)), encoding="utf-8")

    assert [(kept("some", key, make) / "content").read_text() for key in ("a", "a", "b")] == ["1", "1", "2"]
    assert {each.name for each in (folder / "some").iterdir()} == {"a", "b"}


def test_what_fails_leaves_nothing_and_is_made_by_the_next(folder: Path) -> None:
    def fail(fresh: Path) -> None:
        (fresh / "half").touch()
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        kept("some", "a", fail)
    assert list((folder / "some").iterdir()) == []
    assert (kept("some", "a", lambda fresh: (fresh / "whole").touch()) / "whole").exists()


def test_who_is_overtaken_takes_what_the_other_made() -> None:
    def slowly(fresh: Path) -> None:
        kept("some", "a", lambda faster: (faster / "first").touch())
        (fresh / "second").touch()

    assert [each.name for each in kept("some", "a", slowly).iterdir()] == ["first"]


def test_a_key_depends_on_every_part(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("1")
    other.write_text("2")
    keys = [
        digest_of(files=[one]),
        digest_of(files=[other]),
        digest_of(files=[one, other]),
        digest_of(files=[one], packages=["pytest"]),
        digest_of(files=[one], more=["a", "b"]),
        digest_of(files=[one], more=["ab"]),
    ]
    assert len(set(keys)) == len(keys)
