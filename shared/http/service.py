"""The factory of every HTTP service: everything that all of them have in common."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import aiohttp
import structlog
from fastapi import APIRouter, FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest, start_http_server
from starlette.types import ASGIApp, Receive, Scope, Send

from shared import faults
from shared.calls.client import ServiceClient
from shared.calls.discovery import ConsulDiscovery, Discovery, FixedDiscovery, PinnedLogin, Proven, split_address
from shared.calls.proof import OwnProof, Proofs
from shared.calls.registration import Instance, Registrar
from shared.calls.tokens import ServiceTokens
from shared.errors import ConfigurationError, NotFound
from shared.http import docs
from shared.http.auth import JwksCache, TokenVerifier
from shared.http.continuation import go_on
from shared.http.fast_path import DirectRoute, DirectRoutes
from shared.http.headers import AnswerHeaders
from shared.http.health import Health, ReadyCheck
from shared.http.middleware import RequestMiddleware
from shared.http.problems import install_problems
from shared.http.revocations import Revocations
from shared.logs import configure_logs
from shared.settings import ServiceSettings

__all__ = ["VERSION", "ServiceContext", "create_service", "find_login", "make_discovery", "make_instance"]

log = structlog.get_logger(__name__)

VERSION = "0.1.0"
SELF_CHECK_SECONDS = 0.1
LOOP_MAX_AGE_SECONDS = 60.0
"""More than three times what a turn of a watch or of the registration may take."""

RevocationsFetch = Callable[[float], Awaitable[Mapping[str, Any]]]
JwksFetch = Callable[[], Awaitable[Mapping[str, Any]]]
Lifespan = Callable[[FastAPI, "ServiceContext"], AbstractAsyncContextManager[None]]


@dataclass
class ServiceContext:
    """What a running service has at hand.

    `meta` returns the metadata to register in Consul; a change is registered too. `drains` are awaited when a signal
    stops the service, after it has deregistered and while it still answers.
    """

    settings: ServiceSettings
    client: ServiceClient
    health: Health
    instance: str
    """The id of this process among those of its service."""
    meta: Callable[[], Mapping[str, str]] = dict
    drains: list[Callable[[], Awaitable[None]]] = field(default_factory=list)


def create_service(
    settings: ServiceSettings,
    *,
    name: str,
    description: str,
    routers: Sequence[APIRouter],
    direct: Sequence[DirectRoute] = (),
    lifespan: Lifespan | None = None,
    ready_checks: Mapping[str, ReadyCheck] | None = None,
    jwks: JwksFetch | None = None,
    revocations: RevocationsFetch | None = None,
) -> FastAPI:
    """A FastAPI application with health, metrics, logs, problems, request ids, tokens, registration and a soft stop.

    Args:
        direct: faster handlers in front of the routes of the same paths, for requests that need no special care.
        lifespan: entered before the service becomes ready, left after it has drained.
        ready_checks: each must return for `/health/ready` to be 200.
        jwks: returns the keys that access tokens are verified with; by default they are fetched from login.
        revocations: returns the sessions that were ended; by default they are fetched from login.
    """

    @asynccontextmanager
    async def run(app: FastAPI) -> AsyncIterator[None]:
        configure_logs(name, settings.log_level)
        faults.configure(settings.faults)
        # Who somebody is, is asked at a configured address; only then can others be believed to be who they say.
        plain = ServiceClient(find_login(settings))
        tokens = ServiceTokens(plain, settings.client_id, settings.client_secret.get_secret_value())

        async def from_login() -> Mapping[str, Any]:
            keys: Mapping[str, Any] = await plain.get("login", "/.well-known/jwks.json", deadline=3.0)
            return keys

        async def ended_sessions(since: float) -> Mapping[str, Any]:
            told: Mapping[str, Any] = await plain.get("login", f"/v1/revocations?since={since:.3f}", deadline=3.0)
            return told

        revoked = Revocations(revocations or ended_sessions, period=settings.revocations_seconds)
        keys = JwksCache(jwks or from_login)
        discovery = make_discovery(
            settings,
            proven=Proofs(keys, settings.installation).hold,
            beat=lambda loop: health.beat(loop, max_age=LOOP_MAX_AGE_SECONDS),
        )
        client = ServiceClient(discovery, tokens=tokens if settings.client_id else None)
        app.state.verifier = TokenVerifier(keys, issuer=settings.issuer, audience=name, revocations=revoked)
        context = ServiceContext(settings=settings, client=client, health=health, instance=instance.id)
        app.state.context = context
        async with AsyncExitStack() as stack:
            stack.push_async_callback(discovery.close)
            stack.push_async_callback(plain.close)
            stack.push_async_callback(client.close)
            if settings.client_id:
                health.add("credentials", tokens.accepted)
            if settings.metrics_port is not None:
                await stack.enter_async_context(_metrics_server(settings.host, settings.metrics_port))
            if lifespan is not None:
                await stack.enter_async_context(lifespan(app, context))
            following = asyncio.create_task(revoked.follow(health), name="revocations")
            stack.push_async_callback(_cancel, following)
            await stack.enter_async_context(_registered(instance, settings, context, plain))
            yield

    health = Health(ready_checks or {})
    instance = make_instance(name, settings)
    app = _Application(
        title=f"Zhiyin {name}",
        description=description,
        version=VERSION,
        lifespan=run,
        redirect_slashes=False,
        # FastAPI's own pages run scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
    )
    app.state.settings = settings
    entry: ASGIApp = app.ordinary
    if direct:
        entry = DirectRoutes(
            entry,
            service=name,
            state=app.state,
            routes=direct,
            max_body_bytes=settings.max_body_bytes,
            stopping=health.stopping,
        )
    app.entry = AnswerHeaders(entry, hsts_seconds=settings.hsts_seconds)
    app.add_middleware(
        RequestMiddleware, service=name, max_body_bytes=settings.max_body_bytes, stopping=health.stopping
    )
    install_problems(app)
    app.include_router(health.router())
    app.include_router(_instance_router(instance, health))
    if settings.shows_docs:
        app.include_router(docs.router)
    for router in routers:
        app.include_router(router)

    if settings.metrics_port is None:

        @app.get("/metrics", include_in_schema=False)
        async def metrics() -> Response:
            return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return app


class _Application(FastAPI):
    """An application with an ASGI entry in front of everything that FastAPI puts around its routes."""

    entry: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.entry(scope, receive, send)

    async def ordinary(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers what `entry` passes on."""
        await super().__call__(scope, receive, send)
        await go_on(scope, receive, send)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def _metrics_server(host: str, port: int) -> AsyncIterator[None]:
    try:
        server, thread = start_http_server(port, addr=host)
    except OSError as error:
        raise ConfigurationError(f"ZHIYIN_METRICS_PORT {port} cannot be listened on: {error.strerror}") from error
    try:
        yield
    finally:
        await asyncio.to_thread(server.shutdown)
        server.server_close()
        thread.join()


def find_login(settings: ServiceSettings) -> Discovery:
    """Login at its configured address, whatever the registry is.

    Raises:
        ConfigurationError: it has none, or one that cannot be used.
    """
    fixed = _configured(settings)
    if not settings.login_url:
        return fixed
    try:
        split_address(settings.login_url)
    except ValueError as error:
        raise ConfigurationError("ZHIYIN_LOGIN_URL is not of the form http://host:port") from error
    return FixedDiscovery({"login": settings.login_url})


def make_discovery(settings: ServiceSettings, *, proven: Proven, beat: Callable[[str], None]) -> Discovery:
    """The way this process finds other services, as `ZHIYIN_REGISTRY` says, and login at its configured address.

    Args:
        proven: whether an entry of a registry may be believed; addresses of the settings always are.
        beat: called by each watch of a registry whenever it turns.

    Raises:
        ConfigurationError: login's address cannot be used.
    """
    others: Discovery = _configured(settings)
    if settings.registry == "consul":
        others = ConsulDiscovery(
            settings.consul_url,
            others,
            proven=proven,
            installation=settings.installation,
            token=settings.consul_token.get_secret_value(),
            beat=beat,
        )
    return PinnedLogin(find_login(settings), others)


def _configured(settings: ServiceSettings) -> FixedDiscovery:
    """The addresses that the settings give, and in a cluster the names of its Services."""
    in_cluster = "KUBERNETES_SERVICE_HOST" in os.environ
    names = settings.registry == "kubernetes" or (settings.registry == "consul" and in_cluster)
    return FixedDiscovery(settings.static_services, settings.kubernetes_service if names else None)


def make_instance(name: str, settings: ServiceSettings) -> Instance:
    """This process as the registry knows it; the id is the pod's uid, or the host and process where there is none."""
    unique = settings.instance or f"{socket.gethostname()}-{os.getpid()}"
    meta = {"version": VERSION, "zone": settings.zone}
    return Instance(
        id=f"{settings.installation}-{name}-{unique}",
        service=name,
        host=settings.advertise_host,
        port=settings.port,
        meta=meta,
    )


def _instance_router(instance: Instance, health: Health) -> APIRouter:
    """The readiness of one instance, for a registry's check: whoever got its address later does not pass it."""
    router = APIRouter()

    @router.get("/health/ready/{instance_id}", include_in_schema=False)
    async def ready(instance_id: str) -> dict[str, Any]:
        if instance_id != instance.id:
            raise NotFound("another instance answers here")
        await health.require_ready()
        return {"status": "ready"}

    return router


def _make_registrar(
    instance: Instance, settings: ServiceSettings, context: ServiceContext, login: ServiceClient
) -> Registrar | None:
    if settings.registry != "consul" or not settings.port:
        return None
    proof = None
    # Nobody looks login up: its entry only tells people that it runs.
    if instance.service != "login":
        if not settings.client_id:
            raise ConfigurationError(
                "ZHIYIN_CLIENT_ID and ZHIYIN_CLIENT_SECRET are needed with ZHIYIN_REGISTRY=consul: "
                "login vouches for what a service registers"
            )
        proof = OwnProof(login, settings.client_id, settings.client_secret.get_secret_value(), instance)
    return Registrar(
        settings.consul_url,
        instance,
        installation=settings.installation,
        token=settings.consul_token.get_secret_value(),
        prove=proof,
        meta=context.meta,
        reconcile_seconds=settings.reconcile_seconds,
    )


@asynccontextmanager
async def _registered(
    instance: Instance, settings: ServiceSettings, context: ServiceContext, login: ServiceClient
) -> AsyncIterator[None]:
    """Registers once the process is ready; on a signal deregisters before it stops serving."""
    registrar = _make_registrar(instance, settings, context, login)
    starting: asyncio.Task[None] | None = None
    if registrar is not None:
        starting = asyncio.create_task(_register_when_ready(registrar, context.health), name="register")

    async def leave() -> None:
        if context.health.stopping.is_set():
            return
        context.health.stopping.set()
        if starting is not None and registrar is not None:
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            await registrar.stop()

    async def drain() -> None:
        await leave()
        log.info("draining", seconds=settings.drain_seconds)
        pauses = (asyncio.sleep(settings.drain_seconds), *(each() for each in context.drains))
        for outcome in await asyncio.gather(*pauses, return_exceptions=True):
            if isinstance(outcome, Exception):
                log.error("drain_failed", error=type(outcome).__name__, exc_info=outcome)

    with _before_signals(drain):
        yield
    await leave()


async def _register_when_ready(registrar: Registrar, health: Health) -> None:
    def beat() -> None:
        health.beat("registrar", max_age=LOOP_MAX_AGE_SECONDS + 3 * registrar.reconcile_seconds)

    url = f"{registrar.instance.url}/health/ready"
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=3)) as session:
        while True:
            beat()
            try:
                async with session.get(url) as response:
                    if response.status == 200:
                        break
            except (aiohttp.ClientError, OSError, TimeoutError):
                pass
            await asyncio.sleep(SELF_CHECK_SECONDS)
    registrar.on_beat(beat)
    await registrar.start()


class _before_signals:  # noqa: N801 - used as a function
    """Runs `drain` before the server's own handlers of SIGTERM and SIGINT; a second signal skips it."""

    def __init__(self, drain: Callable[[], Awaitable[None]]) -> None:
        self._drain = drain
        self._previous: dict[int, Any] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __enter__(self) -> None:
        self._loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            try:
                self._previous[number] = signal.signal(number, self._on_signal)
            except ValueError:
                # Not the main thread: handling signals is the caller's business there.
                return

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._loop.call_soon_threadsafe(self._start, number, frame)

    def _start(self, number: int, frame: FrameType | None) -> None:
        task = self._loop.create_task(self._stop(number, frame))
        self._tasks.add(task)

    async def _stop(self, number: int, frame: FrameType | None) -> None:
        first = len(self._tasks) == 1
        if first:
            await self._drain()
        previous = self._previous.get(number)
        if callable(previous):
            previous(number, frame)
