"""A virtual environment of its own for each peer, with what PyPI has of it."""

import subprocess
import sysconfig
import venv
from pathlib import Path

__all__ = ["environment", "version"]

DONE = ".installed"


def environment(folder: Path, name: str, packages: tuple[str, ...]) -> Path:
    """The Python of a virtual environment with these packages; it is made at the first call.

    The server and all that belongs to it are its own. PyTorch, OpenVINO, transformers and the tokenizer are found in
    the project's environment behind them, so that every server computes with the same versions and builds.
    """
    home = folder / name
    python = home / "bin" / "python"
    done = home / DONE
    wanted = "\n".join(packages)
    if done.exists() and done.read_text(encoding="utf-8") == wanted:
        return python
    venv.create(home, with_pip=True, clear=True)
    subprocess.run([python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *packages], check=True)
    own = Path(sysconfig.get_path("purelib", vars={"base": str(home), "platbase": str(home)}))
    (own / "project.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    done.write_text(wanted, encoding="utf-8")
    return python


def version(python: Path, package: str) -> str:
    """The version of a package that an environment has."""
    code = f"from importlib.metadata import version; print(version({package!r}))"
    return subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
