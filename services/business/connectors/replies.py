"""Reading a system's answer over HTTP: JSON only, bounded in bytes while it comes, packed or not, and in depth."""

import asyncio
import json
import math
import time
import zlib
from email.utils import parsedate_to_datetime
from typing import NoReturn

import aiohttp
from pydantic import JsonValue

from shared.assistants.plugins import Reply

__all__ = ["read_reply"]

MAX_DEPTH = 40
LONG = 200_000
"""Bytes from which an answer is parsed off the event loop."""
LONGEST_PAUSE = 3600.0
WINDOW = {"gzip": 31, "x-gzip": 31, "deflate": 15}
"""What zlib calls each encoding."""


class Garbled(Exception):
    """The answer is no bounded JSON; the message says why."""


async def read_reply(response: aiohttp.ClientResponse, largest: int) -> Reply:
    """The answer of at most `largest` bytes; one that cannot be read says why in `garbled`.

    Raises:
        aiohttp.ClientError: the answer was cut.
    """
    body: JsonValue = None
    garbled = None
    try:
        content = await _content(response, largest)
        if content:
            if not _is_json(response.content_type):
                raise Garbled(f"it is {response.content_type}, not JSON")
            body = _parsed(content) if len(content) < LONG else await asyncio.to_thread(_parsed, content)
    except Garbled as error:
        garbled = str(error)
    return Reply(
        status=response.status,
        body=body,
        again_after=_again_after(response.headers.get("Retry-After", "")),
        garbled=garbled,
    )


def _is_json(content_type: str) -> bool:
    return content_type == "application/json" or content_type.endswith("+json")


async def _content(response: aiohttp.ClientResponse, largest: int) -> bytes:
    """The body as it was before it was packed."""
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower() or "identity"
    unpack = None
    if encoding != "identity":
        if encoding not in WINDOW:
            raise Garbled(f"it is packed in a way that is not known ({encoding[:20]})")
        unpack = zlib.decompressobj(WINDOW[encoding])
    content = bytearray()
    async for part in response.content.iter_any():
        while part:
            room = largest + 1 - len(content)
            if unpack is None:
                content += part[:room]
                part = b""
            else:
                try:
                    content += unpack.decompress(part, room)
                except zlib.error:
                    raise Garbled("it cannot be unpacked") from None
                part = unpack.unconsumed_tail
            if len(content) > largest:
                # The rest is not read: leaving the answer closes its connection.
                raise Garbled(f"it has more than {largest} bytes")
    if unpack is not None and content and not unpack.eof:
        raise Garbled("it cannot be unpacked")
    return bytes(content)


def _parsed(content: bytes) -> JsonValue:
    try:
        value: JsonValue = json.loads(content.decode("utf-8-sig"), parse_constant=_no_number, parse_float=_finite)
    except (ValueError, RecursionError):
        raise Garbled("it is not JSON") from None
    level: list[JsonValue] = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return value
    raise Garbled("it is nested too deeply")


def _no_number(text: str) -> NoReturn:
    raise ValueError(text)


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _no_number(text)


def _again_after(text: str) -> float | None:
    """Seconds from a `Retry-After`, which is a number of them or a date."""
    if text.isascii() and text.isdigit():
        return min(float(text[:6]), LONGEST_PAUSE)
    try:
        left = parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(left, 0.0), LONGEST_PAUSE)
