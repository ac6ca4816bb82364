"""The API as a page to read: made of the OpenAPI document alone, with no script and nothing from elsewhere."""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

__all__ = ["router"]

STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
code, pre { font: 0.9em/1.4 ui-monospace, monospace; }
pre { overflow-x: auto; padding: 0.75rem; border: 1px solid #8884; border-radius: 0.5rem; }
details { border-top: 1px solid #8884; padding: 0.5rem 0; }
summary { cursor: pointer; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: 0.25rem 1rem 0.25rem 0; }
"""
DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = "; ".join(
    (
        f"default-src 'none'; style-src 'sha256-{DIGEST}'; img-src data:",
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    )
)

Document = Mapping[str, Any]

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def docs(request: Request) -> HTMLResponse:
    """The page."""
    return HTMLResponse(_page(request.app.openapi()), headers={"Content-Security-Policy": POLICY})


def _page(document: Document) -> str:
    info = document["info"]
    title = escape(info["title"])
    return "".join(
        (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
            '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">',
            f"<style>{STYLE}</style></head><body><h1>{title} {escape(info['version'])}</h1>",
            f"<p>{escape(info.get('description', ''))}</p>",
            '<p>For programs: <a href="openapi.json">openapi.json</a></p>',
            *_operations(document),
            "<h2>Schemas</h2>",
            *_schemas(document),
            "</body></html>",
        )
    )


def _operations(document: Document) -> Iterator[str]:
    tag = None
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if (own := next(iter(operation.get("tags", ())), "")) != tag:
                tag = own
                yield f"<h2>{escape(tag)}</h2>"
            yield f"<details><summary><code>{method.upper()} {escape(path)}</code> "
            yield f"{escape(operation.get('summary', ''))}</summary>"
            yield f"<p>{escape(operation.get('description', ''))}</p>"
            if operation.get("security"):
                yield "<p>Needs an access token: <code>Authorization: Bearer …</code></p>"
            yield from _table(
                "Parameters",
                (
                    (each["name"], each["in"], _written(each["schema"]), each.get("description", ""))
                    for each in operation.get("parameters", ())
                ),
            )
            body = operation.get("requestBody", {}).get("content", {})
            yield from _table("Body", ((kind, _written(each.get("schema", {}))) for kind, each in body.items()))
            yield from _table(
                "Answers",
                (
                    (status, answer.get("description", ""), kind, _written(each.get("schema", {})))
                    for status, answer in operation["responses"].items()
                    for kind, each in (answer.get("content") or {"": {}}).items()
                ),
            )
            yield "</details>"


def _table(title: str, rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    lines = ["".join(f"<td>{cell}</td>" for cell in map(escape, row)) for row in rows]
    if lines:
        yield f"<h3>{title}</h3><table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _schemas(document: Document) -> Iterator[str]:
    for name, schema in sorted(document.get("components", {}).get("schemas", {}).items()):
        text = json.dumps(schema, ensure_ascii=False, indent=2)
        yield f"<details><summary><code>{escape(name)}</code></summary><pre>{escape(text)}</pre></details>"


def _written(schema: Mapping[str, Any]) -> str:
    """A schema in a line: the name of another one, or what it says."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    return json.dumps({name: each for name, each in schema.items() if name != "title"}, ensure_ascii=False)
