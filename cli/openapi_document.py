"""An OpenAPI document: read from a file or over https, bounded, and looked into by its references."""

import asyncio
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from cli.errors import NotReachable, UsageError, why_unreachable
from shared.assistants.yaml_source import PlainLoader

__all__ = ["Reader", "fetched", "listed", "mapping", "read_document"]

LARGEST = 10_000_000
PARTS = 500_000
"""Nodes of a document; aliases of YAML can make a short text endless."""
SECONDS = 20


def read_document(content: bytes) -> dict[str, Any]:
    """An OpenAPI 3 document, JSON or YAML.

    Raises:
        UsageError: it is none, or too large.
    """
    if len(content) > LARGEST:
        raise UsageError(f"The document has more than {LARGEST} bytes.")
    try:
        text = content.decode("utf-8-sig")
        document = json.loads(text) if text.lstrip()[:1] in ("{", "[") else load_yaml(text)
    except UnicodeDecodeError as error:
        raise UsageError("The document is not UTF-8 text.") from error
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise UsageError(f"The document is neither JSON nor YAML: {' '.join(str(error).split())[:300]}") from error
    version = str(document.get("openapi", "")) if isinstance(document, dict) else ""
    if not version.startswith("3."):
        old = " Convert it from Swagger 2 first." if isinstance(document, dict) and "swagger" in document else ""
        raise UsageError(f"This is no OpenAPI 3 document: it has no `openapi: 3.…`.{old}")
    return dict(document)


def load_yaml(text: str) -> Any:
    """YAML, refused where aliases make it large."""
    loader = PlainLoader(text)
    try:
        node = loader.get_single_node()
        counted = 0
        ahead = [node] if node is not None else []
        while ahead:
            each = ahead.pop()
            counted += 1
            if counted > PARTS:
                raise ValueError("there is too much in it")
            if isinstance(each, yaml.MappingNode):
                ahead += [part for pair in each.value for part in pair]
            elif isinstance(each, yaml.SequenceNode):
                ahead += each.value
        return loader.construct_document(node) if node is not None else None
    finally:
        loader.dispose()


class Reader:
    """Looks into a document; references are followed within it only."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document

    def at(self, value: Any) -> dict[str, Any]:
        """A part of the document, where it is a reference the part that it leads to; `{}` where it leads nowhere."""
        for _ in range(20):  # a reference to a reference, perhaps in a circle
            if not isinstance(value, dict):
                return {}
            if not isinstance(pointer := value.get("$ref"), str):
                return value
            value = self._resolve(pointer)
        return {}

    def _resolve(self, pointer: str) -> Any:
        if not pointer.startswith("#/"):
            return None
        value: Any = self.document
        for part in pointer[2:].split("/"):
            key = part.replace("~1", "/").replace("~0", "~")
            value = value.get(key) if isinstance(value, dict) else None
        return value

    def schema(self, value: Any, depth: int = 0) -> dict[str, Any]:
        """A schema as one: parts of `allOf` together, of a choice the first that is not `null`."""
        found = dict(self.at(value))
        if depth > 10:
            return found
        for part in listed(found.pop("allOf", None)):
            inner = self.schema(part, depth + 1)
            both = {**mapping(inner.get("properties")), **mapping(found.get("properties"))}
            required = [*listed(inner.get("required")), *listed(found.get("required"))]
            found = {**inner, **found} | ({"properties": both} if both else {})
            found |= {"required": required} if required else {}
        for key in ("anyOf", "oneOf"):
            choices = [self.schema(each, depth + 1) for each in listed(found.pop(key, None))]
            real = [each for each in choices if each.get("type") != "null"]
            if real:
                found = {**real[0], **found}
                if len(real) < len(choices):
                    found["nullable"] = True
        kind = found.get("type")
        if isinstance(kind, list):
            found["nullable"] = "null" in kind
            found["type"] = next((each for each in kind if each != "null"), None)
        if found.get("type") is None and "properties" in found:
            found["type"] = "object"
        return found

    def content(self, part: Any) -> Any:
        """The schema of a JSON body; `None` when there is none."""
        for kind, media in mapping(self.at(part).get("content")).items():
            if re.fullmatch(r"application/([\w.-]+\+)?json(;.*)?|\*/\*", str(kind)):
                return self.at(media).get("schema", {})
        return None


def listed(value: Any) -> list[Any]:
    """A list, or none."""
    return value if isinstance(value, list) else []


def mapping(value: Any) -> dict[str, Any]:
    """A mapping, or none."""
    return value if isinstance(value, dict) else {}


def fetched(source: str) -> bytes:
    """The document's bytes, from a file or over https.

    Raises:
        UsageError: it is neither.
        NotReachable: the server does not answer with it.
    """
    if "://" not in source:
        with Path(source).open("rb") as file:
            return file.read(LARGEST + 1)
    if not source.startswith("https://"):
        raise UsageError("A document is fetched over https only; save it to a file, and name that.")
    return asyncio.run(downloaded(source))


async def downloaded(url: str) -> bytes:
    """What a server answers with, as far as it is looked at."""
    timeout = aiohttp.ClientTimeout(total=SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, raise_for_status=True) as session,
            session.get(url, allow_redirects=False) as answer,
        ):
            if answer.status != 200:
                raise NotReachable(f"{url} answered with HTTP {answer.status}; name where it leads to.")
            content = b""
            async for chunk in answer.content.iter_chunked(65536):
                content += chunk
                if len(content) > LARGEST:
                    break
            return content
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        raise NotReachable(f"{url} cannot be fetched: {why_unreachable(error)}.") from error
