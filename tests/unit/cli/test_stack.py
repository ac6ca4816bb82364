"""What each program of one machine is started with: its command, its variables, and only its own secrets."""

import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import pytest

from cli.bootstrap import load_bootstrap
from cli.home import Home
from cli.ports import free_ports
from cli.settings import PROJECT
from cli.stack import SERVICES, Ports, Stack, http_answers, redis_answers


def make(
    tmp_path: Path,
    *,
    consul: bool = True,
    host: str = "127.0.0.1",
    environment: Mapping[str, str] | None = None,
    assistant: Path = PROJECT / "assistants" / "shop",
) -> Stack:
    home = Home(tmp_path)
    home.prepare()
    return Stack(
        home=home,
        ports=Ports(**{each.name: 9000 + number for number, each in enumerate(fields(Ports))}),
        redis=Path("/opt/redis-server"),
        consul=Path("/opt/consul") if consul else None,
        bootstrap=load_bootstrap(home),
        assistant=assistant,
        host=host,
        environment={
            "PATH": "/bin",
            "ZHIYIN_LOG_LEVEL": "debug",
            "ZHIYIN_REGISTRY": "kubernetes",
            **(environment or {}),
        },
    )


def test_order(tmp_path: Path) -> None:
    names = [program.name for stage in make(tmp_path).stages() for program in stage]
    assert names == ["redis", "consul", *SERVICES]
    without = [program.name for stage in make(tmp_path, consul=False).stages() for program in stage]
    assert without == ["redis", *SERVICES]


def test_redis_keeps_everything_and_listens_here_only(tmp_path: Path) -> None:
    command = " ".join(make(tmp_path).redis_program().command)
    assert command.startswith(f"/opt/redis-server {tmp_path}/secrets/redis.conf --bind 127.0.0.1 --port 9005 ")
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command


def test_consul_listens_here_only_and_on_chosen_ports(tmp_path: Path) -> None:
    command = make(tmp_path).consul_program().command
    for argument in ("-bind=127.0.0.1", "-client=127.0.0.1", "-http-port=9006", "-server-port=9007", "-dns-port=-1"):
        assert argument in command


def test_a_service_gets_the_address_of_everything(tmp_path: Path) -> None:
    stack = make(tmp_path)
    program = stack.service_program("dialogue")
    environment = program.environment
    assert environment["ZHIYIN_HOME"] == str(tmp_path)
    assert environment["ZHIYIN_PORT"] == "9000"
    assert environment["ZHIYIN_REGISTRY"] == "consul"
    assert environment["ZHIYIN_REDIS_URL"] == f"redis://:{stack.bootstrap.redis_password}@127.0.0.1:9005/0"
    assert environment["ZHIYIN_ASSISTANT"] == str(PROJECT / "assistants" / "shop")
    assert environment["ZHIYIN_MODELS"] == '["shop"]'
    assert environment["ZHIYIN_LOG_LEVEL"] == "debug", "what the person set reaches the services"
    assert json.loads(environment["ZHIYIN_STATIC_SERVICES"]) == {
        "dialogue": "127.0.0.1:9000",
        "login": "127.0.0.1:9001",
        "intent": "127.0.0.1:9002",
        "business": "127.0.0.1:9003",
        "learning": "127.0.0.1:9009",
    }
    assert program.address == "127.0.0.1:9000"
    assert make(tmp_path, consul=False).service_program("login").environment["ZHIYIN_REGISTRY"] == "static"


def test_every_process_gets_its_own_secrets_only(tmp_path: Path) -> None:
    stack = make(tmp_path)
    bootstrap = stack.bootstrap
    login = stack.service_program("login").environment
    dialogue = stack.service_program("dialogue").environment
    worker = stack.service_program("worker").environment
    assert login["ZHIYIN_BOOTSTRAP_FILE"] == str(bootstrap.path)
    assert login["ZHIYIN_LOGIN_SECRET"] == bootstrap.login_secret
    assert (dialogue["ZHIYIN_CLIENT_ID"], dialogue["ZHIYIN_CLIENT_SECRET"]) == (
        "dialogue",
        bootstrap.client_secret("dialogue"),
    )
    assert worker["ZHIYIN_CLIENT_ID"] == "worker"
    assert "ZHIYIN_LOGIN_SECRET" not in dialogue
    assert "ZHIYIN_BOOTSTRAP_FILE" not in dialogue
    assert "ZHIYIN_CLIENT_SECRET" not in login


def test_one_machine_is_for_development_and_its_demo_stays_there(tmp_path: Path) -> None:
    environment = make(tmp_path).service_program("login").environment
    assert (environment["ZHIYIN_ENVIRONMENT"], environment["ZHIYIN_DEMO"]) == ("development", "true")
    assert make(tmp_path, host="0.0.0.0").service_program("login").environment["ZHIYIN_DEMO"] == "false"
    said = {"ZHIYIN_DEMO_PUBLIC": "true"}
    open_demo = make(tmp_path, host="0.0.0.0", environment=said).service_program("login").environment
    assert open_demo["ZHIYIN_DEMO"] == "true"
    production = make(tmp_path, environment={"ZHIYIN_ENVIRONMENT": "production"}).service_program("login").environment
    assert (production["ZHIYIN_ENVIRONMENT"], production["ZHIYIN_DEMO"]) == ("production", "false")


def test_who_somebody_is_is_asked_at_logins_address(tmp_path: Path) -> None:
    for service in SERVICES:
        assert make(tmp_path).service_program(service).environment["ZHIYIN_LOGIN_URL"] == "http://127.0.0.1:9001"


def test_each_service_has_its_own_token_for_consul_and_no_command_shows_one(tmp_path: Path) -> None:
    stack = make(tmp_path)
    tokens = {service: stack.service_program(service).environment["ZHIYIN_CONSUL_TOKEN"] for service in SERVICES}
    assert len(set(tokens.values())) == len(SERVICES)
    assert stack.bootstrap.consul.management not in tokens.values()
    shown = " ".join(part for stage in stack.stages() for program in stage for part in program.command)
    assert not [token for token in (stack.bootstrap.consul.management, *tokens.values()) if token in shown]
    assert "ZHIYIN_CONSUL_TOKEN" not in make(tmp_path, consul=False).service_program("login").environment


def test_another_replica(tmp_path: Path) -> None:
    program = make(tmp_path).service_program("dialogue", name="dialogue-2", port=9100, extra={"ZHIYIN_ZONE": "b"})
    assert program.name == "dialogue-2"
    assert program.address == "127.0.0.1:9100"
    assert program.environment["ZHIYIN_PORT"] == "9100"
    assert program.environment["ZHIYIN_ZONE"] == "b"


def test_an_open_host_is_asked_on_the_loopback(tmp_path: Path) -> None:
    program = make(tmp_path, host="0.0.0.0").service_program("dialogue")
    assert program.environment["ZHIYIN_HOST"] == "0.0.0.0"
    assert program.address == "127.0.0.1:9000"


def test_leftover_registrations_are_cleared_and_the_queue_is_kept(tmp_path: Path) -> None:
    stack = make(tmp_path)
    stack.prepare()
    (stack.home.data / "consul" / "raft").write_text("old")
    (stack.home.data / "redis" / "appendonly").write_text("kept")
    stack.prepare()
    assert list((stack.home.data / "consul").iterdir()) == []
    assert (stack.home.data / "redis" / "appendonly").read_text() == "kept"


async def test_nobody_answers_on_a_free_port() -> None:
    (port,) = free_ports(1)
    assert not await http_answers(f"http://127.0.0.1:{port}/health/ready")()
    assert not await redis_answers(f"redis://127.0.0.1:{port}/0")()


def test_each_service_has_a_port(tmp_path: Path) -> None:
    ports = make(tmp_path).ports
    assert [ports.of(name) for name in SERVICES] == [9001, 9009, 9002, 9003, 9004, 9000]


@pytest.mark.parametrize("service", SERVICES)
def test_commands_start_this_python(tmp_path: Path, service: str) -> None:
    command = make(tmp_path).service_program(service).command
    assert command == (sys.executable, "-m", "shared.http", service)


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The demo assistant, reaching its shop by a connector."""
    folder = tmp_path / "assistants" / "shop"
    (folder / "connectors").mkdir(parents=True)
    (folder / "connectors" / "shop.yml").touch()
    shutil.copy(PROJECT / "assistants" / "shop" / "assistant.yml", folder)
    monkeypatch.setattr("cli.stack.DEMO", folder)
    return folder


def test_the_demo_shops_own_system_runs_beside_the_demo_assistant_only(tmp_path: Path, demo: Path) -> None:
    names = [program.name for stage in make(tmp_path, assistant=demo).stages() for program in stage]
    assert names == ["redis", "consul", "shop", *SERVICES]
    stack = make(tmp_path)
    assert "shop" not in [program.name for stage in stack.stages() for program in stage]
    assert "ZHIYIN_CONNECTORS" not in stack.service_program("business").environment


def test_the_shop_and_who_reaches_it_have_one_key_which_no_command_shows(tmp_path: Path, demo: Path) -> None:
    stack = make(tmp_path, assistant=demo)
    program = stack.shop_program()
    secret = tmp_path / "secrets" / "default" / "shop" / "shop"
    assert secret.read_text(encoding="utf-8").strip() == program.environment["SHOP_API_KEY"]
    assert secret.stat().st_mode & 0o777 == 0o600
    assert program.environment["SHOP_API_KEY"] not in " ".join(program.command)
    assert stack.shop_program().environment["SHOP_API_KEY"] == program.environment["SHOP_API_KEY"]
    other = make(tmp_path, assistant=demo, environment={"ZHIYIN_TENANT": "acme"})
    assert other.shop_program().environment["SHOP_API_KEY"] != program.environment["SHOP_API_KEY"]


def test_business_and_its_worker_are_told_where_the_shop_is(tmp_path: Path, demo: Path) -> None:
    mine = {"bank.core": {"url": "http://bank"}}
    stack = make(tmp_path, assistant=demo, environment={"ZHIYIN_CONNECTORS": json.dumps(mine)})
    shop = {"url": "http://127.0.0.1:9010", "networks": ["127.0.0.0/8"]}
    for service in ("business", "worker"):
        told = stack.service_program(service).environment["ZHIYIN_CONNECTORS"]
        assert json.loads(told) == {"shop.shop": shop} | mine
    assert stack.service_program("dialogue").environment["ZHIYIN_CONNECTORS"] == json.dumps(mine)
    elsewhere = make(tmp_path, assistant=demo, environment={"ZHIYIN_CONNECTORS": '{"shop.shop": {"url": "http://x"}}'})
    told = elsewhere.service_program("worker").environment["ZHIYIN_CONNECTORS"]
    assert json.loads(told) == {"shop.shop": {"url": "http://x"}}
    broken = make(tmp_path, assistant=demo, environment={"ZHIYIN_CONNECTORS": "nonsense"})
    assert broken.service_program("worker").environment["ZHIYIN_CONNECTORS"] == "nonsense"


@pytest.mark.parametrize(
    ("environment", "empty"),
    [
        ({}, "false"),
        ({"ZHIYIN_SEED_DEMO": "false"}, "true"),
        ({"ZHIYIN_ENVIRONMENT": "production"}, "true"),
    ],
)
def test_the_shop_has_the_demos_orders_in_development_only(
    tmp_path: Path, demo: Path, environment: dict[str, str], empty: str
) -> None:
    program = make(tmp_path, assistant=demo, environment=environment).shop_program()
    assert program.environment["SHOP_EMPTY"] == empty
    command = " ".join(program.command)
    assert command == f"{sys.executable} -m examples.shop --host 127.0.0.1 --port 9010 --data {tmp_path}/data/shop"
