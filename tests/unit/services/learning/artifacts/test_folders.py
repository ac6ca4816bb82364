"""Folders and aliases appear whole: what a reader sees is the old or the new, never half."""

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.learning.artifacts.folders import digest_of, publish, write_alias


@given(st.binary(max_size=1000))
def test_the_digest_is_that_of_the_content(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("digest") / "file"
    path.write_bytes(content)
    assert digest_of(path) == hashlib.sha256(content).hexdigest()


def test_a_folder_gets_its_name_after_everything_in_it_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch, folder = tmp_path / ".new", tmp_path / "v1"
    (scratch / "report").mkdir(parents=True)
    (scratch / "report" / "index.html").write_text("<p>")
    (scratch / "manifest.json").write_text("{}")
    done: list[str] = []

    def sync(handle: int) -> None:
        done.append(Path(os.readlink(f"/proc/self/fd/{handle}")).name + (" named" if folder.exists() else ""))

    monkeypatch.setattr("services.learning.artifacts.folders.os.fsync", sync)
    publish(scratch, folder)
    assert sorted(done[:-2]) == ["index.html", "manifest.json", "report"]
    assert done[-2:] == [".new", f"{tmp_path.name} named"]
    assert (folder / "report" / "index.html").read_text() == "<p>"
    assert not scratch.exists()


def test_a_folder_that_cannot_be_written_to_the_disk_gets_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".new").mkdir()

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("services.learning.artifacts.folders.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        publish(tmp_path / ".new", tmp_path / "v1")
    assert not (tmp_path / "v1").exists()


def fails(*_: object) -> None:
    raise OSError("no power")


def test_an_alias_is_the_old_or_the_new_one_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_alias(tmp_path, "production", "v1")
    with monkeypatch.context() as patch:
        patch.setattr("services.learning.artifacts.folders.os.replace", fails)
        with pytest.raises(OSError, match="power"):
            write_alias(tmp_path, "production", "v2")
    assert (tmp_path / "production").read_text() == "v1\n"
    write_alias(tmp_path, "production", "v3")
    assert (tmp_path / "production").read_text() == "v3\n"
    assert [each.name for each in tmp_path.iterdir()] == ["production"]
