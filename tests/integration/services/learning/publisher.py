"""Learning on a real port and a real database, somebody who publishes, and services that say what they think."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from services.learning.app import create_app
from services.learning.publishing.trainer import Say, Trained, Training, TrainingRefused
from services.learning.settings import Settings
from shared.assistants.bundle import digest_of, pack
from tests.servers import RunningServer, serve
from tests.stack import eventually
from tests.tokens import TokenFactory

__all__ = ["Client", "ScriptedTrainer", "assistant", "bundle_of", "running"]

TOKENS = TokenFactory()
SERVICES = ("dialogue", "business", "intent")
MANIFEST = "name: {name}\ntitle: {{en: Mini}}\nlanguages: [en]\ndefault_language: en\n"


def assistant(folder: Path, reply: str = "hello", *, name: str = "mini", **files: str) -> Path:
    """A folder that learning takes for an assistant."""
    for path, text in {
        "assistant.yml": MANIFEST.format(name=name),
        "replies/en.yml": f"greet: {reply}\n",
        **files,
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    return folder


def bundle_of(tmp_path: Path, reply: str, *, name: str = "mini", **files: str) -> bytes:
    """A bundle that differs by a reply."""
    return pack(assistant(tmp_path / f"{name}-{abs(hash((reply, *files.items())))}", reply, name=name, **files))


class ScriptedTrainer:
    """Trains nothing: says what the test says. What a training really is, its own tests show."""

    def __init__(self) -> None:
        self.trained: list[Training] = []
        self.pointed: list[tuple[str, str]] = []
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.preliminary = False
        self.refuse = ""
        self.version = "v1"

    async def train(self, training: Training, say: Say) -> Trained:
        self.trained.append(training)
        await say("training, 50 %")
        await self.go_on.wait()
        if self.refuse and not training.forced:
            raise TrainingRefused(self.refuse)
        return Trained(
            version=self.version if training.soon else "whole", preliminary=self.preliminary and training.soon
        )

    async def point(self, name: str, version: str) -> None:
        self.pointed.append((name, version))


class Client:
    """Calls learning as somebody."""

    def __init__(self, server: RunningServer, session: aiohttp.ClientSession, token: str) -> None:
        self._server = server
        self._session = session
        self.token = token

    @property
    def port(self) -> int:
        """Where learning listens."""
        return self._server.port

    def of(
        self, *, tenant: str = "default", roles: tuple[str, ...] = ("operator",), scopes: tuple[str, ...] = ()
    ) -> "Client":
        """Somebody else."""
        return Client(self._server, self._session, TOKENS.issue("somebody", tenant=tenant, roles=roles, scopes=scopes))

    def service(self) -> "Client":
        """A service that follows."""
        return self.of(roles=(), scopes=("learning:read", "learning:report"))

    async def call(self, method: str, path: str, expected: int = 200, **options: Any) -> Any:
        """The JSON of an answer with that status."""
        headers = {"Authorization": f"Bearer {self.token}"}
        async with self._session.request(method, self._server.base_url + path, headers=headers, **options) as answer:
            body = await answer.read()
            assert answer.status == expected, body
            return await answer.json(content_type=None) if body and "json" in answer.content_type else body

    async def status(self, method: str, path: str, **options: Any) -> int:
        """The status of an answer."""
        headers = {"Authorization": f"Bearer {self.token}"}
        async with self._session.request(method, self._server.base_url + path, headers=headers, **options) as answer:
            return answer.status

    async def upload(self, data: bytes, expected: int = 200) -> Any:
        return await self.call("PUT", f"/v1/bundles/{digest_of(data)}", expected, data=data)

    async def publish(self, data: bytes, *, name: str = "mini", **wishes: Any) -> dict[str, Any]:
        """Uploads and asks for a release."""
        await self.upload(data)
        return await self.publish_again(data, name=name, **wishes)

    async def publish_again(self, data: bytes, *, name: str = "mini", **wishes: Any) -> dict[str, Any]:
        """Asks for a release of what was uploaded."""
        body = {"bundle": digest_of(data), **wishes}
        answer: dict[str, Any] = await self.call("POST", f"/v1/assistants/{name}/releases", 202, json=body)
        return answer

    async def report(self, release: str, service: str, *, loaded: bool = True, reason: str = "") -> None:
        """What an instance of a service says."""
        body = {"service": service, "instance": f"{service}-1", "loaded": loaded, "reason": reason}
        await self.service().call("POST", f"/v1/releases/{release}/reports", 204, json=body)

    async def release(self, release: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = await self.call(
            "GET", f"/v1/assistants/{release['assistant']}/releases/{release['id']}"
        )
        return answer

    async def until(self, release: dict[str, Any], state: str) -> dict[str, Any]:
        """The release, once it is in that state."""
        found = release

        async def there() -> bool:
            nonlocal found
            found = await self.release(release)
            assert found["state"] in (state, "checking", "training", "proving"), found
            return bool(found["state"] == state)

        await eventually(there, what=f"{state} of {release}")
        return found

    async def live(self, data: bytes, *, name: str = "mini", **wishes: Any) -> dict[str, Any]:
        """Publishes and proves."""
        release = await self.publish(data, name=name, **wishes)
        for service in SERVICES:
            await self.report(release["id"], service)
        return await self.until(release, "ready")

    async def production(self, name: str = "mini") -> str | None:
        """The id of the release that is in production."""
        found = await self.call("GET", f"/v1/assistants/{name}/releases")
        return next((each["release"]["id"] for each in found["aliases"] if each["alias"] == "production"), None)


@asynccontextmanager
async def running(home: Path, url: str, trainer: ScriptedTrainer, **settings: Any) -> AsyncIterator[Client]:
    """A replica of learning, and an operator who talks to it."""
    chosen = Settings(
        environment="development", home=home, database_url=url, look_seconds=0.1, drain_seconds=0.0, **settings
    )
    app = create_app(chosen, jwks=TOKENS.fetch, trainer=trainer)
    async with serve(app) as server, aiohttp.ClientSession() as session:
        yield Client(server, session, TOKENS.issue("operator-1", roles=("operator",)))
