"""A small learning over real HTTP: keeps bundles, releases and aliases in memory and tells who follows, as the real
service does. Publishing is a call of the test's."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web

from shared.assistants.bundle import digest_of, pack
from shared.contracts.releases import AliasName, Following, Release, ReleaseAlias, ReleaseReport

__all__ = ["ReleasesServer", "releases_server"]

Fault = Callable[[web.Request], Awaitable[web.StreamResponse | None]]


@dataclass
class ReleasesServer:
    """What learning knows; `fault` answers in its place where it gives an answer, or breaks the connection."""

    port: int = 0
    bundles: dict[str, bytes] = field(default_factory=dict)
    aliases: dict[tuple[str, str, str], ReleaseAlias] = field(default_factory=dict)
    proving: dict[str, Release] = field(default_factory=dict)
    reports: list[tuple[str, ReleaseReport]] = field(default_factory=list)
    requests: list[web.Request] = field(default_factory=list)
    fault: Fault | None = None
    _count: int = 0
    _changes: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def address(self) -> str:
        """`host:port`, as `static_services` wants it."""
        return f"127.0.0.1:{self.port}"

    def add(
        self,
        tenant: str,
        assistant: str,
        folder: Path | bytes,
        *,
        model: str = "",
        model_version: str = "",
        proving: bool = False,
    ) -> Release:
        """A release of a folder, or of what a damaged store has of it."""
        data = folder if isinstance(folder, bytes) else pack(folder)
        self._count += 1
        release = Release(
            id=f"r{self._count}", tenant=tenant, assistant=assistant, number=self._count, bundle=digest_of(data),
            bundle_bytes=len(data), model=model, model_version=model_version, created_at=datetime.now(UTC),
            state="proving" if proving else "ready",
        )  # fmt: skip
        self.bundles[release.bundle] = data
        if proving:
            self.proving[release.id] = release
            self._notify()
        return release

    def move(self, release: Release, alias: AliasName = "production", *, share: float = 1.0) -> None:
        """Names the release by the alias."""
        self.proving.pop(release.id, None)
        self.aliases[release.tenant, release.assistant, alias] = ReleaseAlias(alias=alias, release=release, share=share)
        self._notify()

    def publish(self, tenant: str, assistant: str, folder: Path | bytes) -> Release:
        """A release that is live at once."""
        release = self.add(tenant, assistant, folder)
        self.move(release)
        return release

    def remove(self, release: Release, alias: AliasName) -> None:
        """Names nothing by the alias any more."""
        del self.aliases[release.tenant, release.assistant, alias]
        self._notify()

    def _notify(self) -> None:
        self._changes += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Any request."""
        self.requests.append(request)
        if self.fault is not None and (answer := await self.fault(request)) is not None:
            return answer
        match request.method, *request.path.strip("/").split("/"):
            case "GET", "v1", "following":
                return await self._following(request.query)
            case "GET", "v1", "bundles", digest if digest in self.bundles:
                return web.Response(body=self.bundles[digest], content_type="application/octet-stream")
            case "POST", "v1", "releases", identity, "reports":
                self.reports.append((identity, ReleaseReport.model_validate(await request.json())))
                return web.Response(status=204)
        return web.json_response({"detail": "there is no such thing"}, status=404)

    async def _following(self, query: Mapping[str, str]) -> web.Response:
        changed = self._changed
        if query.get("after") == f"c{self._changes}":
            try:
                async with asyncio.timeout(float(query.get("wait", "0"))):
                    await changed.wait()
            except TimeoutError:
                pass
        following = Following(
            cursor=f"c{self._changes}", aliases=list(self.aliases.values()), proving=list(self.proving.values())
        )
        return web.json_response(text=following.model_dump_json())


@asynccontextmanager
async def releases_server(port: int = 0, known: ReleasesServer | None = None) -> AsyncIterator[ReleasesServer]:
    """A learning that answers; `known` goes on with what another one knew."""
    server = known or ReleasesServer()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True).start()
    server.port = runner.addresses[0][1]
    try:
        yield server
    finally:
        await runner.cleanup()
