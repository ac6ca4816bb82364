import gzip
import io
import os
import tarfile
import unicodedata
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.assistants import bundle
from shared.assistants.bundle import BundleError, digest_of, pack, unpack

NAMES = st.from_regex(r"\A[a-z0-9_一-龥é-ü]{1,8}\Z").map(lambda name: unicodedata.normalize("NFC", name))
FILES = st.dictionaries(st.lists(NAMES, min_size=1, max_size=3).map(tuple), st.binary(max_size=1500), max_size=8)


def write(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def tar(*members: tuple[str, bytes], **headers: Any) -> bytes:
    """An archive that somebody made by other means."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=headers.pop("format", tarfile.USTAR_FORMAT)) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for field, value in headers.items():
                setattr(info, field, value)
            archive.addfile(info, io.BytesIO(content))
    return target.getvalue()


@settings(max_examples=40, deadline=None)
@given(files=FILES)
def test_a_folder_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, files: dict[Any, bytes]) -> None:
    # No name of a file is that of a folder.
    named = {"/".join(f"{part}_" for part in parts) + "f": content for parts, content in files.items()} | {"a": b""}
    tmp_path = tmp_path_factory.mktemp("bundle")
    data = pack(write(tmp_path / "from", named))
    unpack(data, tmp_path / "to")
    assert below(tmp_path / "to") == named
    assert pack(tmp_path / "to") == data


def test_the_bytes_depend_on_names_and_contents_alone(tmp_path: Path) -> None:
    files = {"b.yml": b"b", "a/z.yml": b"z", "a.yml": b"a", "回复.yml": "你好".encode()}
    first = write(tmp_path / "first", files)
    second = write(tmp_path / "second", dict(reversed(files.items())))
    (second / "b.yml").chmod(0o755)
    os.utime(second / "a.yml", (1, 1))
    write(second, {".git/config": b"x", "a/__pycache__/m.pyc": b"x", "a/.hidden": b"x"})
    (second / "empty").mkdir()
    assert pack(first) == pack(second)
    # Known for good: a bundle of one release has the same digest in every other.
    assert digest_of(pack(first)) == "33b0d024d198aec52709fec218a3a2ce7d25ef501e326b6df3316386b5966d9c"


def test_any_changed_byte_is_another_digest_or_no_bundle(tmp_path: Path) -> None:
    data = pack(write(tmp_path / "from", {"a.yml": b"a: 1"}))
    for position in range(0, len(data), 7):
        changed = bytearray(data)
        changed[position] ^= 1
        assert digest_of(bytes(changed)) != digest_of(data)


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=3000))
def test_noise_is_no_bundle(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    into = tmp_path_factory.mktemp("noise") / "to"
    with pytest.raises(BundleError):
        unpack(data, into)
    assert not into.exists()


def test_a_bundle_that_is_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    data = pack(write(tmp_path / "from", {"a.yml": b"a" * 600, "b.yml": b"b"}))
    for end in range(0, len(data), 64):
        with pytest.raises(BundleError):
            unpack(data[:end], tmp_path / "to")
    with pytest.raises(BundleError, match=r"a\.yml: the bundle ends within this file"):
        unpack(data[:700], tmp_path / "to")
    with pytest.raises(BundleError):
        unpack(data + bytes(512), tmp_path / "to")
    assert [path.name for path in tmp_path.iterdir()] == ["from"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("/etc/passwd", "leads out"),
        ("../x", "leads out"),
        ("a/../../x", "leads out"),
        ("a//x", "leads out"),
        ("./x", "leads out"),
        ("a\\..\\x", "leads out"),
        ("a\nb", "cannot be printed"),
        ("a/.hidden", "hidden"),
        ("__pycache__/x", "hidden"),
        ("e\u0301.yml", "accents"),
        ("/".join("abcdefghijklmnopq"), "deep"),
    ],
)
def test_names_that_are_none_are_refused(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(BundleError, match=reason) as caught:
        unpack(tar((name, b"x")), tmp_path / "inner" / "to")
    assert caught.value.file == name
    assert not list(tmp_path.rglob("*"))


def test_names_that_are_not_utf8_are_refused_on_both_sides(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"^a\\udcff: its name is not UTF-8$"):
        unpack(tar(("a\udcff", b"x")), tmp_path / "to")
    (tmp_path / "from").mkdir()
    (Path(os.fsdecode(os.fsencode(tmp_path / "from") + b"/a\xff"))).write_bytes(b"x")
    with pytest.raises(BundleError, match=r"^a\\udcff: its name is not UTF-8$"):
        pack(tmp_path / "from")


@pytest.mark.parametrize("kind", [tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_only_regular_files_are_unpacked(tmp_path: Path, kind: bytes) -> None:
    with pytest.raises(BundleError, match=r"^x\.yml: it is .*regular files only"):
        unpack(tar(("x.yml", b""), type=kind, linkname="/etc/passwd"), tmp_path / "to")


@pytest.mark.parametrize(
    "members",
    [
        (("a.yml", b"1"), ("a.yml", b"2")),
        (("A.yml", b"1"), ("a.yml", b"2")),
        (("Faq/a.yml", b"1"), ("faq/b.yml", b"2")),
        (("straße", b"1"), ("strasse", b"2")),
        (("a", b"1"), ("a/b", b"2")),
    ],
)
def test_names_that_collide_are_refused(tmp_path: Path, members: tuple[tuple[str, bytes], ...]) -> None:
    with pytest.raises(BundleError, match=r"twice|cannot tell"):
        unpack(tar(*members), tmp_path / "to")


def test_names_that_collide_elsewhere_are_not_packed(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"^[aA]\.yml: some systems"):
        pack(write(tmp_path / "cases", {"A.yml": b"", "a.yml": b""}))
    with pytest.raises(BundleError, match="é: two files"):
        pack(write(tmp_path / "accents", {"\u00e9": b"", "e\u0301": b""}))


def test_other_archives_of_the_same_files_are_refused(tmp_path: Path) -> None:
    data = pack(write(tmp_path / "from", {"a.yml": b"a", "b.yml": b"b"}))
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.yml", bytes(1_000_000))
    others = [
        tar(("b.yml", b"b"), ("a.yml", b"a")),
        tar(("a.yml", b"a"), ("b.yml", b"b"), mtime=1),
        tar(("a.yml", b"a"), format=tarfile.PAX_FORMAT, pax_headers={"path": "b.yml"}),
        gzip.compress(data),
        zipped.getvalue(),
        tar(("a.yml", b"a")) * 2,
    ]
    for other in others:
        with pytest.raises(BundleError):
            unpack(other, tmp_path / "to")


def test_limits_name_the_file_that_is_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "from", {f"{number}.yml": b"x" * 4000 for number in range(4)})
    data = pack(folder)
    monkeypatch.setattr(bundle, "MAX_FILES", 3)
    with pytest.raises(BundleError, match=r"^3\.yml: a bundle has at most 3 files"):
        pack(folder)
    with pytest.raises(BundleError, match=r"^3\.yml: a bundle has at most 3 files"):
        unpack(data, tmp_path / "to")
    monkeypatch.setattr(bundle, "MAX_FILES", 4)
    monkeypatch.setattr(bundle, "MAX_BUNDLE_BYTES", 10_000)
    with pytest.raises(BundleError, match=r"^2\.yml: a bundle has at most"):
        pack(folder)
    with pytest.raises(BundleError, match="a bundle has at most"):
        unpack(data, tmp_path / "to")


def test_a_size_beyond_the_end_takes_no_memory(tmp_path: Path) -> None:
    header = tarfile.TarInfo("a.yml")
    header.size = 2**60
    with pytest.raises(BundleError, match=r"^a\.yml: the bundle ends within"):
        unpack(header.tobuf(tarfile.GNU_FORMAT) + bytes(1024), tmp_path / "to")


def test_what_is_no_plain_file_is_not_packed(tmp_path: Path) -> None:
    folder = write(tmp_path / "from", {"a.yml": b"a"})
    (folder / "link.yml").symlink_to("/etc/passwd")
    with pytest.raises(BundleError, match=r"^link\.yml: it is a symbolic link"):
        pack(folder)
    (folder / "link.yml").unlink()
    os.mkfifo(folder / "pipe")
    with pytest.raises(BundleError, match=r"^pipe: it is no regular file"):
        pack(folder)
    (folder / "pipe").unlink()
    write(folder, {f"{'名' * 40}.md": b""})
    with pytest.raises(BundleError, match=r"100 bytes"):
        pack(folder)


def test_folders_without_files_are_none(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="has no files"):
        pack(tmp_path)
    with pytest.raises(BundleError, match="No such file"):
        pack(tmp_path / "missing")
    with pytest.raises(BundleError, match="Not a directory"):
        pack(write(tmp_path, {"a.yml": b""}) / "a.yml")


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    data = pack(write(tmp_path / "from", {"a.yml": b"new"}))
    into = write(tmp_path / "to", {"a.yml": b"old"})
    with pytest.raises(OSError, match="not empty"):
        unpack(data, into)
    assert below(into) == {"a.yml": b"old"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["from", "to"]
