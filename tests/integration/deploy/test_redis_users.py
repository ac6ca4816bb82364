"""Redis as the chart starts it: each service gets at what is its own, and nobody at anything else.

That they get at all that they need is seen where services are tested with Redis: there they are these users too, and
whatever is denied fails the test (`tests/externals.py`).
"""

import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError

from cli.ports import free_ports
from cli.process import Process, Program
from cli.tools import find_redis
from services.login.limits import COUNT
from tests.chart.variants import rendered

USERS = ("login", "dialogue", "business", "worker", "keda")
OWN = {
    "login": ["shop:login:default:pair:1"],
    "dialogue": ["shop:dialogue:lease:1", "shop:installation:dialogue", "shop:queue:results"],
    "business": ["shop:installation:business", "shop:queue:actions", "shop:queue:results"],
    "worker": ["shop:installation:business", "shop:queue:actions", "shop:queue:results"],
    "keda": ["shop:queue:actions"],
}
KEYS = {*(key for keys in OWN.values() for key in keys), "shop2:dialogue:lease:1", "other"}
DANGEROUS = [
    ["FLUSHALL"], ["FLUSHDB"], ["CONFIG", "GET", "*"], ["CONFIG", "SET", "dir", "/"], ["KEYS", "*"], ["SCAN", "0"],
    ["INFO"], ["MONITOR"], ["SHUTDOWN"], ["DEBUG", "JMAP"], ["ACL", "LIST"], ["ACL", "SETUSER", "me"], ["SAVE"],
    ["CLIENT", "LIST"], ["CLIENT", "KILL", "TYPE", "normal"], ["REPLICAOF", "NO", "ONE"], ["SCRIPT", "FLUSH"],
    ["MODULE", "LIST"], ["SWAPDB", "0", "1"], ["RANDOMKEY"], ["MIGRATE", "h", "1", "k", "0", "9"], ["SORT", "other"],
]  # fmt: skip


class Server:
    """A Redis that the chart's script has started."""

    def __init__(self, folder: Path, name: str = "default") -> None:
        (self.port,) = free_ports(1)
        self.folder = folder
        self.passwords = {user: f"password of {user}" for user in ("admin", *USERS)}
        for part in ("data", "run", "passwords", "bin"):
            (folder / part).mkdir()
        (folder / "bin" / "redis-server").symlink_to(find_redis())
        for file, text in rendered(name).get("ConfigMap", "redis")["data"].items():
            (folder / file).write_text(text, encoding="utf-8")

    def program(self) -> Program:
        """The script, with the passwords of now."""
        for user, password in self.passwords.items():
            (self.folder / "passwords" / user).write_text(password, encoding="utf-8")
        variables = {
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "DATA": str(self.folder / "data"),
            "RUN": str(self.folder / "run"),
            "PASSWORD_FILES": str(self.folder / "passwords"),
            "INSTALLATION": "shop",
        }
        command = ("sh", str(self.folder / "start.sh"), "--port", str(self.port), "--bind", "127.0.0.1")
        return Program(name="redis", command=command, environment={**os.environ, **variables}, ready=self.answers)

    def client(self, user: str | None, password: str | None = None) -> Redis:
        """A connection as a user, or as nobody."""
        password = self.passwords[user] if user and password is None else password
        return Redis(host="127.0.0.1", port=self.port, username=user, password=password, decode_responses=True)

    async def answers(self) -> bool:
        """As the probe of its pod asks."""
        try:
            async with self.client("admin") as admin:
                return bool(await admin.ping())
        except (RedisError, OSError):
            return False


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    server = Server(tmp_path_factory.mktemp("redis"))
    process = await Process.start(server.program(), server.folder / "log")
    await process.wait_ready()
    yield server
    await process.kill()


async def ask(client: Redis, *command: str) -> Any:
    """What Redis answers."""
    return await client.execute_command(*command)  # type: ignore[no-untyped-call]


async def refused(client: Redis, *command: str) -> bool:
    """Whether the user may not say that."""
    try:
        await ask(client, *command)
    except NoPermissionError:
        return True
    except ResponseError as error:
        # The server's own setting, which newer versions have, refuses it to everybody.
        return "DEBUG command not allowed" in str(error)
    return False


async def test_nobody_gets_in_without_a_name(server: Server) -> None:
    async with server.client(None) as nobody:
        with pytest.raises(AuthenticationError):
            await nobody.ping()
    for user, password in (("default", ""), ("default", "password of admin"), ("login", "password of dialogue")):
        async with server.client(user, password) as wrong:
            with pytest.raises(AuthenticationError):
                await wrong.ping()


@pytest.mark.parametrize("user", USERS)
async def test_a_user_reaches_its_own_keys_and_no_other(user: str, server: Server) -> None:
    command = {"login": ["EXISTS"], "keda": ["LLEN"]}.get(user, ["DEL"])
    script = ["EVAL", "return redis.call(ARGV[1], KEYS[1])", "1"]
    async with server.client(user) as client:
        assert await client.ping()
        allowed = {key for key in KEYS if not await refused(client, *command, key)}
        assert allowed == set(OWN[user])
        if user not in ("business", "worker"):
            with pytest.raises(ResponseError):
                await ask(client, *script, "other", command[0])


@pytest.mark.parametrize("user", USERS)
async def test_a_user_cannot_rule(user: str, server: Server) -> None:
    async with server.client(user) as client:
        assert [command for command in DANGEROUS if not await refused(client, *command)] == []


async def test_only_dialogue_wakes_dialogue(server: Server) -> None:
    for user in USERS:
        async with server.client(user) as client:
            wakes = not await refused(client, "PUBLISH", "shop:dialogue:wake", "a conversation")
            assert wakes is (user == "dialogue")
            assert await refused(client, "PUBLISH", "shop2:dialogue:wake", "a conversation")
            assert await refused(client, "PSUBSCRIBE", "*")


async def test_passwords_stand_nowhere_where_others_read(server: Server) -> None:
    users = server.folder / "run" / "users.acl"
    assert users.stat().st_mode & 0o077 == 0
    text = users.read_text(encoding="utf-8")
    for password in server.passwords.values():
        assert password not in text
        assert hashlib.sha256(password.encode()).hexdigest() in text


async def test_a_changed_password_is_good_after_a_restart_and_what_was_queued_is_still_there(tmp_path: Path) -> None:
    server = Server(tmp_path)
    for password in ("one", "two"):
        server.passwords["business"] = password
        process = await Process.start(server.program(), server.folder / "log")
        await process.wait_ready()
        async with server.client("business") as client:
            await ask(client, "LPUSH", "shop:queue:actions", password)
        await process.stop(10)
    process = await Process.start(server.program(), server.folder / "log")
    await process.wait_ready()
    async with server.client("admin") as admin:
        assert await admin.lrange("shop:queue:actions", 0, -1) == ["two", "one"]
    await process.kill()


async def test_what_a_script_wrote_is_there_after_a_restart(tmp_path: Path) -> None:
    """Redis reads its log as the user who is off; what it would not do then would be gone."""
    server = Server(tmp_path)
    process = await Process.start(server.program(), server.folder / "log")
    await process.wait_ready()
    async with server.client("login") as client:
        assert await ask(client, "EVAL", COUNT, "1", "shop:login:default:guest:1", "3600000") == [1, 3600000]
    await process.stop(10)
    process = await Process.start(server.program(), server.folder / "log")
    await process.wait_ready()
    async with server.client("admin") as admin:
        assert await admin.get("shop:login:default:guest:1") == "1"
        assert 0 < await admin.pttl("shop:login:default:guest:1") <= 3_600_000
        assert await admin.acl_log() == []
    await process.kill()


async def test_with_an_empty_password_it_does_not_start(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.passwords["worker"] = ""
    process = await Process.start(server.program(), server.folder / "log")
    assert await process.wait() == 1
    assert "no password" in (server.folder / "log").read_text(encoding="utf-8")
