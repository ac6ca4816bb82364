"""Where an encoder comes from: a folder, the hub, or a package; and what is said when it comes from nowhere."""

import hashlib
import shutil
from pathlib import Path

import pytest

from services.learning.artifacts.folders import digest_of
from services.learning.training.encoders import (
    PACKAGED,
    EncoderError,
    Packaged,
    PackagedFolder,
    find_encoder,
)
from tests.unit.services.learning.containers import container_bytes


@pytest.fixture(autouse=True)
def no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A package that carries the encoder `tiny`."""
    folder = tmp_path / "site" / "carrier_of_tiny"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "tiny.bin").write_bytes(container_bytes()[0])
    monkeypatch.syspath_prepend(str(folder.parent))
    packaged = Packaged("somebody/tiny", "carrier_of_tiny", "tiny.bin", digest_of(folder / "tiny.bin"))
    monkeypatch.setitem(PACKAGED, "tiny", packaged)
    return folder


def test_a_folder_is_taken_as_it_is(encoder_folder: Path, tmp_path: Path) -> None:
    found = find_encoder(str(encoder_folder), tmp_path)
    assert (found.name, found.folder, found.source) == ("tiny", encoder_folder, "folder")
    weights = hashlib.sha256((encoder_folder / "model.safetensors").read_bytes()).hexdigest()
    assert found.digest == hashlib.sha256(weights.encode()).hexdigest()


@pytest.mark.parametrize("missing", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_folder_must_be_whole(encoder_folder: Path, tmp_path: Path, missing: str) -> None:
    folder = tmp_path / "part"
    folder.mkdir()
    for path in encoder_folder.iterdir():
        if path.name != missing:
            (folder / path.name).write_bytes(path.read_bytes())
    with pytest.raises(EncoderError, match=r"has no (tokenizer\.json|config\.json|weights)"):
        find_encoder(str(folder), tmp_path)


@pytest.mark.parametrize("name", ["tiny", "somebody/tiny"])
def test_without_a_hub_the_package_gives_it(package: Path, tmp_path: Path, name: str) -> None:
    found = find_encoder(name, tmp_path)
    assert found.source == "package carrier_of_tiny"
    assert found.folder.parent == tmp_path / "encoders"
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {path.name for path in found.folder.iterdir()}
    assert found.digest == digest_of(package / "tiny.bin")


def test_it_is_converted_once(package: Path, tmp_path: Path) -> None:
    first = find_encoder("tiny", tmp_path)
    (package / "tiny.bin").unlink()
    assert find_encoder("tiny", tmp_path) == first


def test_a_damaged_conversion_is_made_again(package: Path, tmp_path: Path) -> None:
    weights = find_encoder("tiny", tmp_path).folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1])
    find_encoder("tiny", tmp_path)
    assert weights.read_bytes() == whole


def test_a_package_with_another_file_is_refused(package: Path, tmp_path: Path) -> None:
    (package / "tiny.bin").write_bytes(b"E5S1")
    with pytest.raises(EncoderError, match="not the file that was expected"):
        find_encoder("tiny", tmp_path)


def test_says_that_neither_hub_nor_package_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PACKAGED, "tiny", Packaged("somebody/tiny", "no_such_carrier", "tiny.bin", "0" * 64))
    with pytest.raises(EncoderError, match="no_such_carrier, which carries it, is not installed"):
        find_encoder("tiny", tmp_path)


@pytest.mark.parametrize("name", ["nobody/knows-this", "else/tiny"])
def test_says_that_the_hub_did_not_give_it(package: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(EncoderError, match=f"encoder {name}: not a folder, and the model hub did not give it"):
        find_encoder(name, tmp_path)


def test_the_hub_comes_before_the_package(
    package: Path, encoder_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda name, **_: str(encoder_folder))
    found = find_encoder("tiny", tmp_path)
    assert (found.folder, found.source) == (encoder_folder, "hub")


@pytest.fixture
def carrier(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, encoder_folder: Path) -> Path:
    """A package that carries the encoder `whole` as the files that it is."""
    folder = tmp_path / "site" / "carrier_of_whole" / "model"
    shutil.copytree(encoder_folder, folder)
    (folder.parent / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(folder.parent.parent))
    files = {path.name: digest_of(path) for path in folder.iterdir()}
    monkeypatch.setitem(PACKAGED, "whole", PackagedFolder("somebody/whole", "carrier_of_whole", "model", files))
    return folder


@pytest.mark.parametrize("name", ["whole", "somebody/whole"])
def test_a_package_may_carry_an_encoder_as_it_is(carrier: Path, tmp_path: Path, name: str) -> None:
    found = find_encoder(name, tmp_path)
    assert (found.folder, found.source) == (carrier, "package carrier_of_whole")
    assert found.digest == find_encoder(str(carrier), tmp_path).digest


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_carried_file_that_is_another_is_refused(carrier: Path, tmp_path: Path, file: str) -> None:
    with (carrier / file).open("ab") as changed:
        changed.write(b" ")
    with pytest.raises(EncoderError, match="not the file that was expected"):
        find_encoder("whole", tmp_path)
