"""What may stand in `connectors/*.yml`, and what is said of what may not."""

from datetime import timedelta
from pathlib import Path

import pytest

from shared.assistants.connectors import ConnectorFiles, fields_given, read_connectors
from shared.assistants.yaml_source import Mistakes

CORE = """
connector: core
url: https://core.example.com/v1
auth: {type: bearer, secret: core-token}
lookups:
  accounts:
    request: {path: "/customers/{customer}/accounts", query: {size: "5"}}
    missing_if: len(response.items) == 0
    answer:
      count: {type: integer, from: len(response.items)}
      accounts:
        type: list
        from: response.items
        fields: {number: text, balance: {type: number, from: item.cents / 100}}
actions:
  freeze:
    arguments: {card: {pattern: "[0-9]{4}"}}
    approval: {if: "true", within: 3d, remind: 12h}
    request: {method: POST, path: "/cards/{card}/freeze", body: {reason: "'lost'", by: [customer]}}
    delivery: idempotent
    refused: {409: response.code}
"""


def read(folder: Path, text: str, name: str = "core") -> tuple[ConnectorFiles, list[str]]:
    (folder / "connectors").mkdir(exist_ok=True)
    (folder / "connectors" / f"{name}.yml").write_text(text, encoding="utf-8")
    mistakes = Mistakes()
    return read_connectors(folder, lambda path: path.name, mistakes), mistakes.found


def test_a_system_with_its_look_ups_and_actions(tmp_path: Path) -> None:
    files, mistakes = read(tmp_path, CORE)
    assert not mistakes
    connector, accounts = files.lookups()["accounts"]
    assert connector.url == "https://core.example.com/v1"
    assert accounts.request.parameters == ("customer",)
    assert list(fields_given(accounts.answer)) == ["count", "accounts", "accounts.number", "accounts.balance"]
    _, freeze = files.actions()["freeze"]
    assert freeze.approval is not None
    assert freeze.approval.within == timedelta(days=3)
    assert freeze.refused[409].value({"response": {"code": "frozen"}}) == "frozen"


@pytest.mark.parametrize(
    ("instead", "of", "said"),
    [
        ("url: ftp://core", "url: https://core.example.com/v1", "core.yml:3: url"),
        ('headers: {X-A: "a\\r\\nHost: b"}', "auth: {type: bearer, secret: core-token}", "core.yml:4: headers.X-A"),
        ("url: https://user:secret@core", "url: https://core.example.com/v1", "core.yml:3: url"),
        ("within: soon", "within: 3d", "a time is a number and a unit"),
        ("delivery: often", "delivery: idempotent", "delivery"),
        ("delivery: queryable", "delivery: idempotent", "`query` belongs to the delivery `queryable`"),
        ('pattern: "["', 'pattern: "[0-9]{4}"', "not a regular expression"),
        ("response.code +", "response.code", "core.yml:21: actions.freeze.refused.409: cannot read the expression"),
        ("connector: bank", "connector: core", "the file is called core.yml, so write: core"),
        ("from: response.items\n        colour: red", "from: response.items", "'colour' is not known here"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, instead: str, of: str, said: str) -> None:
    assert of in CORE
    _, mistakes = read(tmp_path, CORE.replace(of, instead, 1))
    assert any(said in mistake for mistake in mistakes), mistakes


def test_one_name_belongs_to_one_system(tmp_path: Path) -> None:
    read(tmp_path, CORE)
    _, mistakes = read(tmp_path, CORE.replace("connector: core", "connector: other"), "other")
    assert any("'freeze' is there in connectors/core.yml too" in mistake for mistake in mistakes)


def test_one_file_is_one_system(tmp_path: Path) -> None:
    _, mistakes = read(tmp_path, f"{CORE}---\nconnector: crm\n")
    line = CORE.count("\n") + 2
    assert any(f"core.yml:{line}: one file is one system" in mistake for mistake in mistakes), mistakes


def test_a_pattern_that_could_take_for_ever_is_none(tmp_path: Path) -> None:
    _, mistakes = read(tmp_path, CORE.replace('pattern: "[0-9]{4}"', r'pattern: "(?=a)(a+)+\\1"'))
    assert any("not a regular expression" in mistake for mistake in mistakes), mistakes
