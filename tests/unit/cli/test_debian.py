"""Where Debian packages of another release come from: the machine's own apt sources, in both formats."""

from pathlib import Path

import pytest

from cli import debian

DEBIAN = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_CODENAME=bookworm\n'


@pytest.fixture
def apt(tmp_path: Path) -> Path:
    folder = tmp_path / "apt"
    (folder / "sources.list.d").mkdir(parents=True)
    (tmp_path / "os-release").write_text(DEBIAN)
    return folder


def found(apt: Path) -> list[debian.Archive]:
    return debian.archives(apt, apt.parent / "os-release")


def test_one_line_source(apt: Path) -> None:
    (apt / "sources.list").write_text(
        "# a comment\n"
        "deb-src http://mirror.example/debian bookworm main\n"
        "deb [arch=amd64 signed-by=/usr/share/keyrings/debian.gpg] http://mirror.example/debian bookworm main # why\n"
        "deb http://mirror.example/debian-security bookworm-security main\n"
    )
    assert found(apt) == [debian.Archive("http://mirror.example/debian", "/usr/share/keyrings/debian.gpg")]


def test_one_line_source_without_options(apt: Path) -> None:
    (apt / "sources.list.d" / "debian.list").write_text("deb http://mirror.example/debian/ stable main contrib\n")
    assert found(apt) == [debian.Archive("http://mirror.example/debian/", None)]


def test_deb822_source(apt: Path) -> None:
    (apt / "sources.list.d" / "debian.sources").write_text(
        "Types: deb deb-src\n"
        "# snapshot\n"
        "URIs: http://mirror.example/debian\n"
        "Suites: bookworm bookworm-updates\n"
        "Components: main\n"
        "Signed-By: /usr/share/keyrings/debian.gpg\n"
        "\n"
        "Types: deb\n"
        "URIs: http://mirror.example/debian-security\n"
        "Suites: bookworm-security\n"
        "Components: main\n"
    )
    assert found(apt) == [debian.Archive("http://mirror.example/debian", "/usr/share/keyrings/debian.gpg")]


def test_deb822_source_with_its_key_inside(apt: Path) -> None:
    (apt / "sources.list.d" / "debian.sources").write_text(
        "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\nComponents: main\n"
        "Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n -----END PGP PUBLIC KEY BLOCK-----\n"
    )
    (archive,) = found(apt)
    source = archive.source("bullseye")
    assert "Suites: bullseye\n" in source
    assert "\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n" in source


def test_disabled_and_source_only_entries_do_not_count(apt: Path) -> None:
    (apt / "sources.list.d" / "a.sources").write_text(
        "Enabled: no\nTypes: deb\nURIs: http://a.example/debian\nSuites: bookworm\nComponents: main\n\n"
        "Types: deb-src\nURIs: http://b.example/debian\nSuites: bookworm\nComponents: main\n"
    )
    assert found(apt) == []


def test_archives_that_look_like_debians_own_come_first(apt: Path) -> None:
    (apt / "sources.list").write_text(
        "deb http://vendor.example/packages bookworm main\n"
        "deb cdrom:[Debian]/ bookworm main\n"
        "deb http://mirror.example/debian bookworm main\n"
    )
    assert [archive.uri for archive in found(apt)] == ["http://mirror.example/debian", "http://vendor.example/packages"]


def test_foreign_suites_and_components_do_not_count(apt: Path) -> None:
    (apt / "sources.list").write_text(
        "deb http://vendor.example/debian nodistro main\ndeb http://vendor.example/debian bookworm stable\n"
    )
    assert found(apt) == []


def test_not_a_debian(apt: Path) -> None:
    (apt / "sources.list").write_text("deb http://mirror.example/debian bookworm main\n")
    (apt.parent / "os-release").write_text("ID=ubuntu\nVERSION_CODENAME=noble\n")
    assert found(apt) == []
    (apt.parent / "os-release").unlink()
    assert found(apt) == []


def test_source_without_a_key_of_its_own() -> None:
    assert debian.Archive("http://mirror.example/debian", None).source("bullseye") == (
        "Types: deb\nURIs: http://mirror.example/debian\nSuites: bullseye\nComponents: main\n"
    )


def test_unpack_without_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(debian.PackageUnavailable, match="apt-get is not on this machine"):
        debian.unpack("consul", "bullseye", debian.Archive("http://127.0.0.1:9/debian", None), tmp_path / "to")


def test_unpack_says_why_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs(tmp_path / "bin", {"apt-get": "echo 'E: The repository is not signed.' >&2; exit 100", "dpkg-deb": ""})
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    target = tmp_path / "state" / "to"
    target.mkdir(parents=True)
    with pytest.raises(debian.PackageUnavailable, match=r"^The repository is not signed\.$"):
        debian.unpack("consul", "bullseye", debian.Archive("http://127.0.0.1:9/debian", None), target)
    assert [path.name for path in target.parent.iterdir()] == ["to"]


def test_unpack_when_the_package_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs(tmp_path / "bin", {"apt-get": "exit 0", "dpkg-deb": ""})
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    (tmp_path / "to").mkdir()
    with pytest.raises(debian.PackageUnavailable, match="apt downloaded no consul"):
        debian.unpack("consul", "bullseye", debian.Archive("http://127.0.0.1:9/debian", None), tmp_path / "to")


def test_a_command_that_hangs(tmp_path: Path) -> None:
    with pytest.raises(debian.PackageUnavailable, match="sleep did not finish within 0 s"):
        debian.run(["sleep", "60"], tmp_path, 0.05)


def test_a_command_that_fails_without_a_word(tmp_path: Path) -> None:
    with pytest.raises(debian.PackageUnavailable, match="false failed"):
        debian.run(["false"], tmp_path, 10)


def programs(folder: Path, scripts: dict[str, str]) -> None:
    folder.mkdir()
    for name, body in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name).chmod(0o755)
