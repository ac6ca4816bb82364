from pathlib import Path

import pytest

from shared.assistants.bundle import pack, read
from shared.assistants.clear_secrets import secrets_in

PROJECT = Path(__file__).parents[4]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("-----BEGIN RSA PRIVATE KEY-----", "a private key"),
        ("-----BEGIN PRIVATE KEY-----", "a private key"),
        ("key: AKIAIOSFODNN7EXAMPLE", "an access key of AWS"),
        ("- ghp_" + "a1" * 18, "a token of GitHub"),
        ("sk-proj-" + "a1B2" * 6, "an API key"),
        ("Authorization: Bearer 3f9c2a7d11e84b", "a bearer token"),
        ("x: eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "a signed token"),
        ("url: https://user:hunter2@core.example/api", "a password in an address"),
        ("password: hunter2", "a password"),
        ('  "db_password": "correct-horse",', "a password"),
        ("PASSWORD=hunter2", "a password"),
        ("  X-Api-Key: 3f9c2a7d11e84b", "a secret"),
        ("client_secret: 'Zx81-4410-aaaa'  # of the bank", "a secret"),
    ],
)
def test_what_looks_like_a_secret_is_found_with_its_line_and_not_repeated(line: str, what: str) -> None:
    (found,) = secrets_in({"connectors/core.yml": f"connector: core\n{line}\n".encode()})
    assert found.startswith(f"connectors/core.yml:2: this looks like {what};")
    assert line not in found
    assert "hunter2" not in found


@pytest.mark.parametrize(
    "line",
    [
        "  secret: core_key_2026",
        "secret: core_key",
        "token: response.token",
        "password: {type: text}",
        "password: text",
        "access_token: response['access_token2']",
        "token: `${a}-1234567`",
        "我的密码: 12345678",
        "- my password is hunter2 and I forgot it",
        "- the token: what is it for?",
        "url: https://core.example/user:1@2",
        "tokens: 20000000a",
        "max_tokens: 480000000",
    ],
)
def test_what_only_speaks_of_secrets_is_none(line: str) -> None:
    assert secrets_in({"connectors/core.yml": line.encode()}) == []


def test_fields_count_in_settings_alone() -> None:
    assert secrets_in({"faq/reset.md": b"password: hunter2"}) == []
    assert secrets_in({"faq/reset.md": b"Bearer 3f9c2a7d11e84b"})
    (found,) = secrets_in({"a.json": b'{"user": "me", "password": "hunter2"}'})
    assert found.startswith("a.json:1: this looks like a password")


def test_the_demo_has_none() -> None:
    assert secrets_in(read(pack(PROJECT / "assistants" / "shop"))) == []
