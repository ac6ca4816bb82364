"""Consul as the chart starts it, in the words of its version."""

import json
import os
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from cli.ports import free_ports
from cli.process import Process, Program
from cli.tools import find_consul
from tests.chart.variants import rendered
from tests.externals import TOOLS

TOKEN = "5f3c0b3e-0000-4000-8000-000000000001"
WRITES = """#!/bin/sh
case $1 in version) printf 'Consul {version}\\nRevision 1\\n' ;; *) printf '%s\\n' "$@" > "$RUN/arguments" ;; esac
"""


def started(folder: Path, consul: str | Path, *arguments: str) -> Program:
    """The chart's script in a folder, with that program as its Consul."""
    (folder / "bin").mkdir()
    if isinstance(consul, Path):
        (folder / "bin" / "consul").symlink_to(consul)
    else:
        (folder / "bin" / "consul").write_text(WRITES.replace("{version}", consul), encoding="utf-8")
        (folder / "bin" / "consul").chmod(0o755)
    for name, text in rendered("default").get("ConfigMap", "consul")["data"].items():
        (folder / name).write_text(text, encoding="utf-8")
    variables = {
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "DATA": str(folder / "data"),
        "RUN": str(folder),
        "MANAGEMENT_TOKEN": TOKEN,
    }

    async def ready() -> bool:
        return True

    command = ("sh", str(folder / "start.sh"), *arguments)
    return Program(name="consul", command=command, environment={**os.environ, **variables}, ready=ready)


@pytest.mark.parametrize(
    ("version", "name"),
    [
        ("v1.8.7+dfsg1", "master"), ("v1.10.12", "master"), ("v1.11.0", "initial_management"),
        ("v1.22.1", "initial_management"), ("v2.0.0", "initial_management"),
    ],
)  # fmt: skip
async def test_each_version_is_told_its_management_token_in_its_own_words(
    version: str, name: str, tmp_path: Path
) -> None:
    process = await Process.start(started(tmp_path, version, "-http-port=1"), tmp_path / "log")
    assert await process.wait() == 0, (tmp_path / "log").read_text()
    tokens = tmp_path / "tokens.json"
    assert json.loads(tokens.read_text(encoding="utf-8")) == {"acl": {"tokens": {name: TOKEN}}}
    assert tokens.stat().st_mode & 0o077 == 0
    assert (tmp_path / "arguments").read_text(encoding="utf-8").split()[-1] == "-http-port=1"


async def test_the_one_that_is_here_takes_the_token_and_denies_everybody_else(tmp_path: Path) -> None:
    http, server, gossip = free_ports(3)
    own = (f"-http-port={http}", f"-server-port={server}", f"-serf-lan-port={gossip}", "-client=127.0.0.1")
    program = started(tmp_path, find_consul(TOOLS), *own)

    async def status(token: str) -> int:
        url = f"http://127.0.0.1:{http}/v1/acl/policies"
        async with aiohttp.ClientSession() as session, session.get(url, headers={"X-Consul-Token": token}) as answer:
            return answer.status

    async def ready() -> bool:
        try:
            return await status(TOKEN) == 200
        except aiohttp.ClientError:
            return False

    process = await Process.start(replace(program, ready=ready), tmp_path / "log")
    try:
        await process.wait_ready()
        assert await status("5f3c0b3e-0000-4000-8000-000000000002") == 403
    finally:
        await process.kill()
