"""Debian packages of another release, unpacked beside the system: nothing is installed, apt verifies the signatures."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Archive", "PackageUnavailable", "archives", "unpack"]

APT_FOLDER = Path("/etc/apt")
OS_RELEASE = Path("/etc/os-release")
UPDATE_SECONDS = 180
DOWNLOAD_SECONDS = 300
UNPACK_SECONDS = 120
NETWORK_SECONDS = 20


class PackageUnavailable(Exception):
    """The package cannot be had here; the message says why."""


@dataclass(frozen=True)
class Archive:
    """A Debian archive that this machine already trusts; `signed_by` is the value of apt's Signed-By, if any."""

    uri: str
    signed_by: str | None

    def source(self, suite: str) -> str:
        """The source of `suite` in this archive, as apt's deb822 files have it."""
        lines = ["Types: deb", f"URIs: {self.uri}", f"Suites: {suite}", "Components: main"]
        if self.signed_by:
            lines.append(f"Signed-By: {self.signed_by}")
        return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Source:
    """One entry of apt's sources, in either of its two formats."""

    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str | None


def archives(apt_folder: Path = APT_FOLDER, os_release: Path = OS_RELEASE) -> list[Archive]:
    """The machine's own Debian archives, likeliest first; empty where it has none."""
    release = read_os_release(os_release)
    if release.get("ID") != "debian":
        return []
    suites = {release.get("VERSION_CODENAME", ""), "stable", "oldstable", "testing", "sid", "unstable"} - {""}
    found: dict[Archive, None] = {}
    for source in read_sources(apt_folder):
        if "main" in source.components and suites.intersection(source.suites):
            found.update({Archive(uri, source.signed_by): None for uri in source.uris if ":" in uri})
    usable = [archive for archive in found if not archive.uri.startswith("cdrom:")]
    return sorted(usable, key=lambda archive: not archive.uri.rstrip("/").endswith("/debian"))


def read_os_release(path: Path) -> dict[str, str]:
    """The name and release of the system; empty when it does not say."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    pairs = (line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    return {key.strip(): value.strip().strip("\"'") for key, value in pairs}


def read_sources(apt_folder: Path) -> Iterator[Source]:
    """Every enabled binary source below apt's folder."""
    parts = apt_folder / "sources.list.d"
    for path in [apt_folder / "sources.list", *sorted(parts.glob("*.list")), *sorted(parts.glob("*.sources"))]:
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        yield from parse_deb822(text) if path.suffix == ".sources" else parse_one_line(text.splitlines())


ONE_LINE = re.compile(r"^deb\s+(?:\[(?P<options>[^\]]*)\]\s*)?(?P<uri>\S+)\s+(?P<suite>\S+)(?P<components>.*)$")


def parse_one_line(lines: Iterable[str]) -> Iterator[Source]:
    """Sources of the format `deb [option=value] uri suite component…`."""
    for line in lines:
        match = ONE_LINE.match(line.split("#", 1)[0].strip())
        if match is None:
            continue
        options = dict(option.split("=", 1) for option in (match["options"] or "").split() if "=" in option)
        yield Source((match["uri"],), (match["suite"],), tuple(match["components"].split()), options.get("signed-by"))


def parse_deb822(text: str) -> Iterator[Source]:
    """Sources of the format of `.sources` files: stanzas of fields, continued by indented lines."""
    for stanza in re.split(r"\n[ \t]*\n", text):
        fields: dict[str, str] = {}
        name = ""
        for line in stanza.splitlines():
            if line.startswith("#"):
                continue
            if line[:1] in (" ", "\t") and name:
                fields[name] += "\n" + line
            elif ":" in line:
                name, value = line.split(":", 1)
                name = name.strip().lower()
                fields[name] = value.strip()
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() == "no":
            continue
        yield Source(
            tuple(fields.get("uris", "").split()),
            tuple(fields.get("suites", "").split()),
            tuple(fields.get("components", "").split()),
            fields.get("signed-by"),
        )


def unpack(package: str, suite: str, archive: Archive, folder: Path) -> str:
    """Unpacks `package` of `suite` into the empty `folder` and answers with its version.

    Raises:
        PackageUnavailable: apt is not here, the archive cannot be reached, or it does not have the package.
    """
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise PackageUnavailable(f"{tool} is not on this machine")
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".apt-") as temporary:
        private = Path(temporary)
        for part in ("lists/partial", "cache/archives/partial", "download"):
            (private / part).mkdir(parents=True)
        sources = private / "debian.sources"
        sources.write_text(archive.source(suite), encoding="utf-8")
        apt = [
            "apt-get",
            *("-o", f"Dir::Etc::SourceList={sources}"),
            *("-o", "Dir::Etc::SourceParts=/dev/null"),
            *("-o", f"Dir::State::Lists={private / 'lists'}"),
            *("-o", f"Dir::Cache={private / 'cache'}"),
            *("-o", "APT::Update::Error-Mode=any"),
            # The folders are this user's own, and apt's download user may not be able to enter them.
            *("-o", "APT::Sandbox::User=root"),
            *("-o", "Acquire::Languages=none"),
            *("-o", "Acquire::Retries=2"),
            *("-o", f"Acquire::http::Timeout={NETWORK_SECONDS}"),
            *("-o", f"Acquire::https::Timeout={NETWORK_SECONDS}"),
            "--quiet=2",
        ]
        run([*apt, "update"], private, UPDATE_SECONDS)
        run([*apt, "download", package], private / "download", DOWNLOAD_SECONDS)
        files = list((private / "download").glob(f"{package}_*.deb"))
        if len(files) != 1:
            raise PackageUnavailable(f"apt downloaded no {package}")
        run(["dpkg-deb", "--extract", str(files[0]), str(folder)], private, UNPACK_SECONDS)
        return run(["dpkg-deb", "--field", str(files[0]), "Version"], private, UNPACK_SECONDS).strip()


def run(command: list[str], folder: Path, seconds: float) -> str:
    """The standard output of a command that must succeed."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=os.environ | {"LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise PackageUnavailable(f"{command[0]} did not finish within {seconds:.0f} s") from error
    if done.returncode != 0:
        complaints = [line for line in done.stderr.splitlines() if line.startswith("E:")] or done.stderr.splitlines()
        raise PackageUnavailable(complaints[0].removeprefix("E:").strip() if complaints else f"{command[0]} failed")
    return done.stdout
