"""A company's system over HTTP."""

import asyncio
import json
import socket
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
from aiohttp.abc import ResolveResult
from aiohttp.resolver import ThreadedResolver
from multidict import CIMultiDict
from structlog.contextvars import get_contextvars
from yarl import URL

from services.business.connectors.authorization import Authorization
from services.business.connectors.replies import read_reply
from shared.assistants.addresses import Network, address_of, refusal
from shared.assistants.connectors import Connector
from shared.assistants.plugins import Call, NotSent, Reply
from shared.calls.client import DEADLINE_HEADER, REQUEST_ID_HEADER

__all__ = ["ForbiddenAddress", "HttpSystem"]

CONNECT_SHARE = 0.8
"""Of a call's time, at most so much goes into connecting: what runs out after that may have been sent."""
CONNECT_SECONDS = 3.0
KEEP_SECONDS = 15.0
"""How long idle connections are kept."""
FORM = "application/x-www-form-urlencoded"


class ForbiddenAddress(NotSent):
    """The system's address is one that this connector must not reach."""


class _Forbidden(OSError):
    """The same, in the words of the library."""


class AllowedAddresses(ThreadedResolver):
    """Finds the addresses of a host that may be reached; a connection goes to what was checked, and is not resolved
    again."""

    def __init__(self, networks: Sequence[Network]) -> None:
        super().__init__()
        self._networks = networks

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Raises `OSError` when there is none."""
        found = await super().resolve(host, port, family)
        allowed, why = [], ""
        for each in found:
            address = address_of(each["host"])
            refused = "cannot be read" if address is None else refusal(address, self._networks)
            if refused is None:
                allowed.append(each)
            else:
                why = f"{each['host']} {refused}"
        if found and not allowed:
            raise _Forbidden(why)
        return allowed


class HttpSystem:
    """One system at one address, over connections that are kept.

    Args:
        url: the address, to which a request's path is added.
        networks: private networks in which it may be.
        secret: gives a secret by its name.
    """

    def __init__(
        self, connector: Connector, url: str, *, networks: Sequence[Network], secret: Callable[[str], str]
    ) -> None:
        self._url = str(URL(url)).rstrip("/")
        self._headers = dict(connector.headers)
        self._largest = connector.largest
        self._networks = tuple(networks)
        self._authorization = Authorization(connector.auth, secret, self._ask_for_token)
        self._token_seconds = connector.timeout
        self._sessions: dict[bool, aiohttp.ClientSession] = {}
        # A host that is written as an address is connected to without being resolved.
        address = address_of(urlsplit(url).hostname or "")
        refused = None if address is None else refusal(address, self._networks)
        self._refused = None if refused is None else f"{address} {refused}"

    async def close(self) -> None:
        """Gives the connections back."""
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()

    async def call(self, call: Call) -> Reply:
        """One call, with a fresh token once where the system no longer takes the old one.

        Raises:
            NotSent: nothing reached the system.
            ConnectionError: the connection broke after it was used.
            TimeoutError: there was no answer in time.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + call.seconds
        reply = await self._send(call, await self._authorized(until), until - loop.time())
        if reply.status == 401 and self._authorization.forget():
            reply = await self._send(call, await self._authorized(until), until - loop.time())
        return reply

    async def _authorized(self, until: float) -> dict[str, str]:
        try:
            async with asyncio.timeout_at(until):
                return await self._authorization.headers()
        except TimeoutError:
            raise NotSent("there was no time left for a token") from None

    async def _send(self, call: Call, authorization: Mapping[str, str], seconds: float) -> Reply:
        content = None if call.body is None else json.dumps(call.body, ensure_ascii=False).encode("utf-8", "replace")
        query = f"?{urlencode(call.query, quote_via=quote)}" if call.query else ""
        headers = CIMultiDict(self._headers)
        headers.update(call.headers)
        headers.update(authorization)
        if content is not None:
            headers["Content-Type"] = "application/json"
        return await self._exchange(call.method, call.path + query, headers, content, seconds, fresh=call.once)

    async def _ask_for_token(self, path: str, form: Mapping[str, str], headers: Mapping[str, str]) -> Reply:
        all_headers = CIMultiDict({**headers, "Content-Type": FORM})
        return await self._exchange(
            "POST", path, all_headers, urlencode(form).encode(), self._token_seconds, fresh=False
        )

    async def _exchange(
        self, method: str, path: str, headers: CIMultiDict[str], content: bytes | None, seconds: float, *, fresh: bool
    ) -> Reply:
        """One request; `fresh` takes a new connection, because a kept one may break for what was long before."""
        if self._refused is not None:
            raise ForbiddenAddress(self._refused)
        headers["Accept"] = "application/json"
        headers["Accept-Encoding"] = "gzip, deflate"
        headers[DEADLINE_HEADER] = f"{seconds:.3f}"
        request_id = get_contextvars().get("request_id")
        if request_id:
            headers[REQUEST_ID_HEADER] = str(request_id)
        try:
            async with (
                asyncio.timeout(seconds),
                self._session(fresh=fresh).request(
                    method,
                    URL(self._url + path, encoded=True),
                    data=content,
                    headers=headers,
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(total=None, connect=min(CONNECT_SECONDS, seconds * CONNECT_SHARE)),
                ) as response,
            ):
                return await read_reply(response, self._largest)
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, _Forbidden):
                raise ForbiddenAddress(str(error.os_error)) from None
            raise NotSent(f"it cannot be reached ({type(error).__name__})") from error
        except aiohttp.ConnectionTimeoutError as error:
            raise NotSent("it cannot be reached in time") from error
        except aiohttp.InvalidURL as error:
            raise NotSent("its address cannot be read") from error
        except TimeoutError:
            raise TimeoutError("it did not answer in time") from None
        except (aiohttp.ClientError, OSError) as error:
            raise ConnectionError(f"the connection broke ({type(error).__name__})") from error

    def _session(self, *, fresh: bool) -> aiohttp.ClientSession:
        if fresh not in self._sessions:
            session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0,
                    resolver=AllowedAddresses(self._networks),
                    **({"force_close": True} if fresh else {"keepalive_timeout": KEEP_SECONDS}),
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                headers={"User-Agent": "Zhiyin"},
            )
            # The library sends PUT and DELETE a second time when the connection breaks under them. What they did is
            # unknown then, and the ledger decides.
            session._retry_connection = False
            self._sessions[fresh] = session
        return self._sessions[fresh]
