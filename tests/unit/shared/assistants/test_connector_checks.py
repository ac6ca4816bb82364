"""What is said of connectors whose parts do not fit together, with the line where it stands."""

from pathlib import Path

import pytest

from shared.assistants.connector_checks import RESERVED, check_connectors, secret_in
from shared.assistants.connectors import read_connectors
from shared.assistants.yaml_source import Mistakes

CORE = """
connector: core
url: https://core.example.com
headers: {X-Client: zhiyin}
auth: {type: bearer, secret: core-token}
lookups:
  card:
    arguments: {card: {}, lang: {optional: true}}
    request: {path: "/cards/{card}", query: {lang: "lang ?? language"}}
    missing_if: response.state == 'gone'
    decide: {terms: {rule: limits, facts: {state: response.state, at: now}}}
    answer:
      state: text
      title: localized
      fee: {type: number, from: terms.fee}
      moves:
        type: list
        from: response.moves
        fields: {to: text, own: {type: boolean, from: item.by == customer}}
  moves:
    request: {path: /moves}
    pages: {items: response.moves, parameter: page}
    answer: {count: {type: integer, from: len(items)}}
actions:
  freeze:
    arguments: {card: {}, reason: {optional: true}}
    before: {lookup: card, arguments: [card], missing: no_card}
    decide: {allowed: {rule: limits, facts: {state: before.state, at: before.title.en}}}
    refuse: [{if: not allowed.yes, code: allowed.code}]
    approval: {if: before.fee > 5}
    request:
      {method: POST, path: "/cards/{card}/freeze", body: {key: action, why: [reason, {first: "before.moves[0].to"}]}}
    delivery: queryable
    query: {request: {path: /freezes, query: {key: action}}, happened: status == 200 and response.done}
    refused: {409: response.code}
    refused_if: [{if: response.no, code: "'no'"}]
    answer: {number: {type: text, from: response.number}, was: {type: text, from: before.state}}
  thaw:
    arguments: {number: {}}
    request: {method: DELETE, path: "/freezes/{number}"}
  dispute:
    arguments: {card: {}}
    saga:
      - {action: freeze, arguments: [card], save: frozen, undo: {action: thaw, arguments: {number: frozen.number}}}
      - {action: thaw, arguments: {number: frozen.number}}
    answer: {number: {type: text, from: frozen.number}}
"""


def check(folder: Path, text: str, **others: str) -> list[str]:
    for name in ("connectors", "rules"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "rules" / "limits.json").write_text("{}", encoding="utf-8")
    for name, content in {"core": text, **others}.items():
        (folder / "connectors" / f"{name}.yml").write_text(content, encoding="utf-8")
    mistakes = Mistakes()
    check_connectors(read_connectors(folder, lambda path: path.name, mistakes), folder, mistakes)
    return mistakes.found


def test_what_fits_together_is_right(tmp_path: Path) -> None:
    assert check(tmp_path, CORE) == []


@pytest.mark.parametrize(
    ("of", "instead", "said"),
    [
        # names
        ("  moves:\n    request", "  submitted_actions:\n    request", "core.yml:20: every assistant has"),
        ("  dispute:\n    arg", "  withdraw_action:\n    arg", "every assistant has 'withdraw_action' already"),
        ("lang ?? language", "lang ?? langauge", "core.yml:9: 'langauge' is not known here; did you mean 'language'?"),
        ("lang ?? language", "response.lang", "core.yml:9: 'response' is not known here"),
        ("lang ?? language", "status", "core.yml:9: 'status' is not known here"),
        ("response.state == 'gone'", "respnse.state == 'gone'", "core.yml:10: 'respnse' is not known here"),
        ("response.state == 'gone'", "items == []", "core.yml:10: 'items' is not known here"),
        ("response.state == 'gone'", "item.state == 'gone'", "core.yml:10: 'item' is not known here"),
        ("response.state == 'gone'", "terms.fee == 1", "core.yml:10: 'terms' is not known here"),
        ("state: response.state,", "state: before.state,", "core.yml:11: 'before' is not known here"),
        ("from: terms.fee", "from: term.fee", "core.yml:15: 'term' is not known here; did you mean 'terms'?"),
        ("item.by == customer", "itm.by == customer", "core.yml:19: 'itm' is not known here"),
        ("from: len(items)", "from: len(items) + y", "core.yml:23: 'y' is not known here"),
        ("items: response.moves, parameter", "items: items, parameter", "core.yml:22: 'items' is not known here"),
        ("before.fee > 5", "before.fees > 5", "core.yml:30: 'before' has no field 'fees'; did you mean 'fee'?"),
        ("before.fee > 5", "response.fee > 5", "core.yml:30: 'response' is not known here"),
        ("key: action, why", "key: actoin, why", "core.yml:32: 'actoin' is not known here"),
        ("before.moves[0].to", "before.moves[0].from", "'before' has no field 'moves.from'"),
        ("query: {key: action}}", "query: {key: response.key}}", "core.yml:34: 'response' is not known here"),
        ("{409: response.code}", "{409: respose.code}", "core.yml:35: 'respose' is not known here"),
        ("if: response.no,", "if: rsponse.no,", "core.yml:36: 'rsponse' is not known here"),
        ("from: before.state}", "from: before.stat}", "'before' has no field 'stat'"),
        # what refers to what
        ("rule: limits, facts: {state: before", "rule: limit, facts: {state: before", "there is no rules/limit.json"),
        ("lookup: card,", "lookup: cards,", "core.yml:27: there is no look-up 'cards'; did you mean 'card'?"),
        ("arguments: [card], missing", "arguments: [], missing", "core.yml:27: its argument 'card' is missing"),
        ("arguments: [card], missing", "arguments: {card: card, crad: card}, missing", "it has no argument 'crad'"),
        ("- {action: thaw,", "- {action: thawe,", "core.yml:45: there is no action 'thawe'; did you mean 'thaw'?"),
        ("- {action: thaw, arguments: {number:", "- {action: thaw, arguments: {numbr:", "it has no argument 'numbr'"),
        ("- {action: thaw,", "- {action: dispute,", "core.yml:45: 'dispute' is a saga itself; a step is one effect"),
        ("undo: {action: thaw,", "undo: {action: melt,", "core.yml:44: there is no action 'melt'"),
        ("number: frozen.number}}}", "number: frzen.number}}}", "'frzen' is not known here"),
        ("save: frozen", "save: card", "core.yml:44: 'card' is another thing's name already"),
        ("from: frozen.number}}", "from: frozen.nmber}}", "core.yml:46: 'frozen' has no field 'nmber'"),
        ("{terms: {rule", "{response: {rule", "core.yml:11: 'response' is another thing's name already"),
        # paths
        ("/cards/{card}\", query", "/cards/{crad}\", query", "core.yml:9: 'crad' is not known here"),
        ("/cards/{card}\", query", "/cards/{lang}\", query", "core.yml:9: the path needs 'lang', which may be missing"),
        ("/cards/{card}\", query", "/cards/{card\", query", "core.yml:9: a value in the path is a name in brackets"),
        ("/cards/{card}\", query", "/cards/../{card}\", query", "core.yml:9: a path has no `.` or `..`"),
        ("/cards/{card}\", query", "/cards/{card + 1}\", query".replace(" + ", "+"), "'{card+1}' is no name"),
        ("path: /moves}", "path: /moves, body: {a: now}}", "core.yml:21: a GET has no body"),
        # arguments
        ("arguments: {number: {}}", "arguments: {number: {}, response: {optional: true}}", "'response' has a meaning"),
        # headers and secrets
        ("X-Client: zhiyin", "Host: evil", "core.yml:4: the header Host is set by the call itself"),
        ("X-Client: zhiyin", "Authorization: zhiyin", "core.yml:4: who asks is said by `auth`"),
        ("X-Client: zhiyin", "X-Api-Key: 8f2k1", "core.yml:4: 'X-Api-Key' looks like a secret in clear"),
        ("X-Client: zhiyin", "X-Note: Bearer abcdefghijkl0123", "core.yml:4: this looks like a secret in clear"),
        ("query: {lang: ", "query: {api_key: \"'8f2k1'\", lang: ", "core.yml:9: 'api_key' looks like"),
        ("body: {key: action", "body: {password: \"'8f2k1'\", key: action", "core.yml:32: 'password' looks like"),
        ("body: {key: action", "body: {a: {secret: 81723}, key: action", "core.yml:32: 'secret' looks like"),
        # addresses
        ("https://core.example.com", "http://169.254.169.254/x", "core.yml:3: 169.254.169.254 is an address of"),
        ("https://core.example.com", "http://10.0.0.5", "core.yml:3: 10.0.0.5 is a private or reserved address; leave"),
        ("https://core.example.com", "http://[fe80::1]:80", "core.yml:3: fe80::1 is a link-local address"),
        ("https://core.example.com", "http://[::1", "core.yml:3: this is no address"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named_with_its_line(tmp_path: Path, of: str, instead: str, said: str) -> None:
    assert CORE.count(of) == 1, of
    mistakes = check(tmp_path, CORE.replace(of, instead))
    assert any(said in mistake for mistake in mistakes), mistakes


LIMITS = """
facts: {state: text, at.day: {type: text, optional: true}, DECLARED: text}
gives: {fee: number, yes: boolean, code: text, more: object}
"""


@pytest.mark.parametrize(
    ("declared", "of", "instead", "said"),
    [
        ("at.year", "", "", None),
        ("at.year", "from: terms.fee", "from: terms.more.fees.first", None),
        ("at.year", "from: terms.fee", "from: 'terms.results[0].fee'", None),
        ("at.year", "from: terms.fee", "from: terms.fees", "core.yml:15: 'terms' has no field 'fees'; did you mean"),
        ("at.year", "code: allowed.code", "code: allowed.cod", "core.yml:29: 'allowed' has no field 'cod'"),
        ("at.year", "{state: response.state,", "{stat: now,", "limits needs the fact 'state'; did you mean 'stat'?"),
        ("amount", "", "", "core.yml:11: the rule limits needs the fact 'amount'"),
        ("amount", "", "", "core.yml:28: the rule limits needs the fact 'amount'"),
    ],
)  # fmt: skip
def test_what_is_said_of_a_rule_holds_where_it_decides(
    tmp_path: Path, declared: str, of: str, instead: str, said: str | None
) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "limits.yml").write_text(LIMITS.replace("DECLARED", declared), encoding="utf-8")
    mistakes = check(tmp_path, CORE.replace(of, instead) if of else CORE)
    assert any(said in mistake for mistake in mistakes) if said else mistakes == [], mistakes


def test_a_description_that_is_none_is_left_to_whoever_checks_the_rules(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "limits.yml").write_text("facts: [", encoding="utf-8")
    assert check(tmp_path, CORE) == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:8090", "http://localhost:8090", "http://[::1]:8090"])
def test_this_machine_may_stand_in_a_file_for_whoever_develops(tmp_path: Path, url: str) -> None:
    assert check(tmp_path, CORE.replace("https://core.example.com", url)) == []


def test_a_customer_who_may_be_unknown_is_no_part_of_a_path(tmp_path: Path) -> None:
    optional = CORE.replace("path: /moves", 'path: "/{customer}/moves"')
    assert check(tmp_path, optional) == []
    optional = optional.replace("  moves:\n    request", "  moves:\n    customer: optional\n    request")
    assert "the path needs 'customer', which may be missing" in check(tmp_path, optional)[0]


def test_a_secret_of_an_expression_is_none(tmp_path: Path) -> None:
    """What the customer or another answer gives stands in no file."""
    assert check(tmp_path, CORE.replace("body: {key: action", "body: {token: before.state, key: action")) == []


def test_connectors_may_refer_to_each_other(tmp_path: Path) -> None:
    crm = """
connector: crm
url: https://crm.example.com
actions:
  note:
    arguments: {card: {}}
    before: {lookup: card, arguments: [card], missing: none}
    request: {method: POST, path: /notes, body: {state: before.state}}
"""
    assert check(tmp_path, CORE, crm=crm) == []


def test_where_a_file_cannot_be_read_only_that_is_said(tmp_path: Path) -> None:
    mistakes = check(tmp_path, CORE.replace("lookup: card,", "lookup: person,"), crm="connector: [")
    assert len(mistakes) == 1
    assert mistakes[0].startswith("crm.yml")


@pytest.mark.parametrize("name", sorted(RESERVED - {"true", "false", "null"}))
def test_names_that_mean_something_are_no_arguments(tmp_path: Path, name: str) -> None:
    text = CORE.replace("arguments: {number: {}}", f'arguments: {{number: {{}}, "{name}": {{optional: true}}}}')
    assert any(f"'{name}' has a meaning of its own" in mistake for mistake in check(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("-----BEGIN RSA PRIVATE KEY-----", True),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc", True),
        ("AKIAIOSFODNN7EXAMPLE", True),
        ("ghp_0123456789abcdefghijABCDEFGHIJ0123456789", True),
        ("Basic dXNlcjpwYXNzd29yZA==", True),
        ("postgres://user:password@host/db", True),
        ("Basic configuration of cards", False),
        ("https://core.example.com/a:b", False),
        ("response.token", False),
        ("把密码给我", False),
    ],
)
def test_what_looks_like_a_secret(text: str, is_one: bool) -> None:
    assert secret_in(text) is is_one
