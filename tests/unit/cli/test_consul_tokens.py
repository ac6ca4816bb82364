"""The tokens of one machine's Consul."""

import json
import uuid
from pathlib import Path

import pytest

from cli.consul_tokens import load_consul_tokens
from cli.errors import EnvironmentUnfit
from cli.home import Home
from cli.stack import SERVICES


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.prepare()
    return home


def test_each_service_has_a_token_of_its_own_that_stays(home: Home) -> None:
    tokens = load_consul_tokens(home)
    assert set(tokens.services) == {*SERVICES, "status"}
    every = [tokens.management, *tokens.services.values()]
    assert len({str(uuid.UUID(each)) for each in every}) == len(every)
    assert load_consul_tokens(home) == tokens


def test_consul_denies_by_default_and_nobody_else_reads_the_files(home: Home) -> None:
    tokens = load_consul_tokens(home)
    assert json.loads(tokens.agent.read_text()) == {
        "acl": {"enabled": True, "default_policy": "deny", "tokens": {"master": tokens.management}}
    }
    assert {path.stat().st_mode & 0o777 for path in home.secrets.iterdir()} == {0o600}


def test_what_is_missing_is_added(home: Home) -> None:
    tokens = load_consul_tokens(home)
    path = home.secrets / "consul-tokens.json"
    known = json.loads(path.read_text())
    del known["intent"]
    path.write_text(json.dumps(known))
    again = load_consul_tokens(home)
    assert again.management == tokens.management
    assert again.services["intent"] != tokens.services["intent"]


def test_a_file_that_cannot_be_read_is_named(home: Home) -> None:
    (home.secrets / "consul-tokens.json").write_text("nonsense")
    with pytest.raises(EnvironmentUnfit, match=r"consul-tokens\.json"):
        load_consul_tokens(home)
