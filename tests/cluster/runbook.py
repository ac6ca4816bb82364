"""The commands of docs/backup.md, run as they stand there, for another namespace than its own."""

import asyncio
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.kubernetes import CommandFailed, program
from tests.stack import PROJECT

__all__ = ["NAMESPACE", "RESTORED", "commands", "follow"]

PAGE = PROJECT / "docs" / "backup.md"
NAMESPACE, RESTORED = "zhiyin", "zhiyin-restored"
"""What the page's commands name."""
SECONDS = 600.0


def commands(part: str) -> str:
    """The commands of a part of the page, which a comment before them names."""
    (block,) = re.findall(rf"<!-- {part}: follows -->\n```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return str(block)


async def follow(
    part: str, folder: Path, *, namespace: str, restored: str = RESTORED, keys: Sequence[str] = ()
) -> None:
    """Runs a part in a folder, in the namespaces of a test; `keys` take the place of the one that the page names.

    Raises:
        CommandFailed: a command ended with an error.
    """
    text = re.sub(rf"\b{RESTORED}\b", "\0", commands(part))
    # `zhiyin` alone is the release.
    text = re.sub(rf"(--namespace|namespaces?) {NAMESPACE}\b", rf"\1 {namespace}", text).replace("\0", restored)
    if keys:
        text = re.sub(r"^for key in .*; do$", f"for key in {' '.join(keys)}; do", text, flags=re.MULTILINE)
    deploy = folder / "deploy"
    if not deploy.exists():
        deploy.symlink_to(PROJECT / "deploy")
    programs = ":".join(str(program(name).parent) for name in ("helm", "kubectl"))

    def run() -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f'PATH="{programs}:$PATH"\n{text}'],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    done = await asyncio.to_thread(run)
    if done.returncode:
        raise CommandFailed(f"{text}\n{done.stdout}\n{done.stderr}")
