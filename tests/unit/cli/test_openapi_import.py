"""Drafts of connectors: from the document of a FastAPI application, and from documents written by hand."""

from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import yaml
from fastapi import FastAPI, Header, Query, Security
from fastapi.security import HTTPBearer
from pydantic import BaseModel, Field

from cli.errors import CommandError, UsageError
from cli.openapi_import import draft, import_openapi
from shared.assistants.connectors import Connector, read_connectors
from shared.assistants.yaml_source import Mistakes


class Money(BaseModel):
    amount: float
    currency: str


class Entry(BaseModel):
    id: str
    booked: date
    value: Money
    parent: "Entry | None" = None


class Transfer(BaseModel):
    to: Annotated[str, Field(min_length=5, max_length=34, pattern="^[A-Z0-9]+$")]
    amount: Annotated[float, Field(gt=0, le=10_000)]
    kind: Literal["now", "later"] = "now"
    note: str | None = None
    money: Money


class Receipt(BaseModel):
    number: int


def bank() -> dict[str, Any]:
    """The document of a small bank."""
    app = FastAPI(title="Bank", version="1.2")
    bearer = Security(HTTPBearer())

    @app.get("/accounts/{account_id}/entries", dependencies=[bearer])
    def list_entries(account_id: str, page: Annotated[int, Query(ge=1)] = 1) -> list[Entry]:
        raise NotImplementedError

    @app.post("/accounts/{account_id}/transfers", status_code=201, dependencies=[bearer])
    def make_transfer(account_id: str, transfer: Transfer, idempotency_key: Annotated[str, Header()]) -> Receipt:
        raise NotImplementedError

    @app.delete("/cards/{card}", status_code=204)
    def drop_card(card: int) -> None:
        raise NotImplementedError

    @app.get("/health")
    def health() -> dict[str, str]:
        raise NotImplementedError

    return app.openapi()


def read(folder: Path, text: str) -> Connector:
    """The connector as the platform reads it."""
    (folder / "connectors").mkdir(exist_ok=True)
    (folder / "connectors" / "core.yml").write_text(text, encoding="utf-8")
    mistakes = Mistakes()
    found = read_connectors(folder, str, mistakes)
    assert mistakes.found == []
    return found.connectors["core"]


def test_an_application_of_fastapi_is_drafted(tmp_path: Path) -> None:
    made = draft(bank(), "core")
    connector = read(tmp_path, made.text)
    (entries,) = connector.lookups.values()
    assert entries.request.path == "/accounts/{account_id}/entries"
    assert entries.arguments["page"].optional
    assert entries.arguments["page"].least == 1
    assert not entries.arguments["account_id"].optional
    assert set(entries.answer["items"].fields) == {"id", "booked", "value"}
    assert entries.answer["items"].fields["booked"].type == "date"
    assert set(entries.answer["items"].fields["value"].fields) == {"amount", "currency"}
    transfer, drop = connector.actions.values()
    assert (transfer.delivery, drop.delivery) == ("idempotent", "once")
    assert transfer.request is not None
    assert set(transfer.request.body or {}) == {"to", "amount", "kind", "note", "money"}
    to, kind = transfer.arguments["to"], transfer.arguments["kind"]
    assert (to.shortest, to.longest, to.pattern, to.optional) == (5, 34, "^[A-Z0-9]+$", False)
    assert (kind.one_of, kind.optional) == (["now", "later"], True)
    assert transfer.answer["number"].type == "integer"
    assert drop.arguments["card"].type == "integer"
    assert connector.auth is not None
    assert (connector.auth.type, connector.auth.secret) == ("bearer", "httpbearer")
    assert [each for each in made.left_out if "/health" in each]
    assert "decide: the answer comes in pages" in made.text


BY_HAND = """
openapi: 3.0.3
info: {title: "Desk\\e[31m", version: "2"}
servers: [{url: "https://{region}.example.com"}, {url: "https://api.example.com/v1/"}]
components:
  securitySchemes: {key: {type: apiKey, in: header, name: X-Key}}
  parameters: {who: {name: customer-id, in: query, required: true, schema: {type: string}}}
  schemas:
    Node:
      type: object
      properties:
        name: {type: string}
        "next-node": {$ref: "#/components/schemas/Node"}
        "due-at": {type: string, format: date-time, nullable: true}
        children: {type: array, items: {$ref: "#/components/schemas/Node"}}
        odd: {}
    Loop: {allOf: [{$ref: "#/components/schemas/Loop"}]}
paths:
  /nodes/{in}:
    parameters: [{name: in, in: path, required: true, schema: {type: integer}}, {$ref: "#/components/parameters/who"}]
    get:
      responses: {"200": {content: {application/json: {schema: {$ref: "#/components/schemas/Node"}}}}}
    put:
      summary: "two\\nlines"
      requestBody: {content: {application/json: {schema: {$ref: "#/components/schemas/Loop"}}}}
      responses: {"409": {}, default: {}}
  /nodes/{in}/again:
    get: {responses: {"200": {content: {application/json: {schema: {$ref: "#/components/schemas/Node"}}}}}}
  /upload:
    post: {requestBody: {required: true, content: {multipart/form-data: {}}}, responses: {}}
  /old: {get: {deprecated: true, responses: {}}}
  /cookie: {post: {parameters: [{name: c, in: cookie, required: true}], responses: {}}}
"""


def test_a_document_by_hand_is_drafted_and_what_cannot_be_is_listed(tmp_path: Path) -> None:
    made = draft(yaml.safe_load(BY_HAND), "core")
    connector = read(tmp_path, made.text)
    assert connector.url == "https://api.example.com/v1"
    assert connector.auth is not None
    assert (connector.auth.type, connector.auth.header) == ("header", "X-Key")
    (lookup,) = connector.lookups.values()
    assert lookup.request.path == "/nodes/{in_value}"
    assert lookup.request.query["customer-id"].source == "customer_id"
    assert set(lookup.answer) == {"name", "due_at"}
    (source,) = (each for each in [lookup.answer["due_at"].source] if each is not None)
    assert source.value({"response": {"due-at": "2026-01-01T00:00:00Z"}}) == "2026-01-01T00:00:00Z"
    (put,) = connector.actions.values()
    assert list(put.refused) == [409]
    assert "\x1b" not in made.text
    assert "  # two lines" in made.text
    reasons = "\n".join(made.left_out)
    for part in ("does not describe", "body is not JSON", "deprecated", "cookie parameter c"):
        assert part in reasons


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"paths": []},
        {"paths": {"/a": 1, "/b": {"get": []}, "/c": {"get": {"parameters": [1, {"in": "query"}], "responses": 3}}}},
        {"paths": {"/a": {"post": {"operationId": "null", "requestBody": {"content": 1}}}}, "info": 1, "servers": {}},
        {"paths": {f"/{n}": {"post": {"operationId": "x"}} for n in range(300)}},
        {"paths": {"/a": {"post": {"parameters": [{"in": "query", "name": "x", "schema": {"pattern": "(["}}]}}}},
        {"paths": {"/a b": {"get": {}}, "/'\"{": {"post": {"summary": "# x: \0"}}}},
    ],
)
def test_a_hostile_document_is_read_back_or_left_out(tmp_path: Path, document: dict[str, Any]) -> None:
    made = draft(document, "core")
    connector = read(tmp_path, made.text)
    assert len(connector.actions) == made.actions <= 200


def test_the_command_writes_over_nothing_unasked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "api.yml"
    file.write_text(BY_HAND, encoding="utf-8")
    import_openapi(str(file), "desk", tmp_path)
    assert "1 look-ups and 1 actions" in capsys.readouterr().err
    with pytest.raises(UsageError, match="--force writes over it"):
        import_openapi(str(file), "desk", tmp_path)
    import_openapi(str(file), "desk", tmp_path, force=True)
    with pytest.raises(UsageError, match="A connector's name"):
        import_openapi(str(file), "../desk", tmp_path)
    file.write_text("openapi: 3.0.0", encoding="utf-8")
    with pytest.raises(CommandError, match="Nothing in this document"):
        import_openapi(str(file), "other", tmp_path)
