"""The first accounts: random, private, and the same at the next start."""

import json
from pathlib import Path

import pytest

from cli.bootstrap import load_bootstrap
from cli.errors import EnvironmentUnfit
from cli.home import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.prepare()
    return home


def test_made_once(home: Home) -> None:
    first = load_bootstrap(home)
    assert first.path.stat().st_mode & 0o777 == 0o600
    document = json.loads(first.path.read_text(encoding="utf-8"))
    assert {each["username"]: each["customer"] for each in document["accounts"]} == {
        "lilei": "C1001",
        "hanmeimei": "C1002",
        "agent": None,
        "operator": None,
        "admin": None,
    }
    passwords = [each["password"] for each in document["accounts"]]
    secrets = [each["client_secret"] for each in document["clients"]]
    assert len(set(passwords + secrets)) == len(passwords) + len(secrets)
    assert load_bootstrap(home) == first
    assert first.password("agent") == document["accounts"][2]["password"]
    assert first.client_secret("dialogue") == document["clients"][0]["client_secret"]
    assert first.client_secret("nobody") == ""


def test_redis_reads_its_password_from_a_file_that_nobody_else_reads(home: Home) -> None:
    bootstrap = load_bootstrap(home)
    assert bootstrap.redis_conf.stat().st_mode & 0o777 == 0o600
    assert bootstrap.redis_conf.read_text(encoding="utf-8") == f"requirepass {bootstrap.redis_password}\n"
    assert len(bootstrap.redis_password) >= 40
    assert load_bootstrap(home).redis_password == bootstrap.redis_password


def test_two_folders_have_different_passwords(home: Home, tmp_path: Path) -> None:
    other = Home(tmp_path / "other")
    other.prepare()
    assert load_bootstrap(home).password("lilei") != load_bootstrap(other).password("lilei")


def test_what_a_person_wrote_stays_and_what_is_missing_is_made(home: Home) -> None:
    path = home.secrets / "bootstrap.json"
    mine = {"username": "lilei", "password": "of my own", "roles": ["customer"], "customer": "C1001"}
    path.write_text(json.dumps({"accounts": [mine], "clients": [{"client_id": "dialogue", "client_secret": "kept"}]}))
    bootstrap = load_bootstrap(home)
    assert bootstrap.password("lilei") == "of my own"
    assert bootstrap.client_secret("dialogue") == "kept"
    assert bootstrap.password("admin")


@pytest.mark.parametrize("text", ["{", "[]", '{"accounts": [{}], "clients": []}'])
def test_broken_file(home: Home, text: str) -> None:
    (home.secrets / "bootstrap.json").write_text(text)
    with pytest.raises(EnvironmentUnfit, match="cannot be read"):
        load_bootstrap(home)
