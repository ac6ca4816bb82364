"""compose.yml by its structure: what it starts, how little that may do, and that it knows no secret."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.business.settings import Settings as BusinessSettings
from services.dialogue.settings import Settings as DialogueSettings
from services.intent.settings import Settings as IntentSettings
from services.login.settings import Settings as LoginSettings
from shared.http.__main__ import SERVICES as KNOWN
from shared.settings import ServiceSettings
from tests.unit.deploy.dockerfile import Dockerfile

SERVICES = tuple(name for name in KNOWN if name != "learning")
"""What compose starts; learning runs on one machine so far."""
ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deploy" / "compose"
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yml").read_text(encoding="utf-8"))
PROGRAMS: dict[str, dict[str, Any]] = COMPOSE["services"]
MIGRATIONS = {"migrate-login", "migrate-dialogue", "migrate-business"}
STORES = {"redis", "consul", "postgresql"}
TOKENS = "consul-tokens"
ROLES = "postgresql-roles"
CHART_FILES = ROOT / "deploy" / "helm" / "zhiyin" / "files"

SETTINGS: dict[str, type[ServiceSettings]] = {
    "login": LoginSettings,
    "dialogue": DialogueSettings,
    "intent": IntentSettings,
    "business": BusinessSettings,
    "worker": BusinessSettings,
}
VARIABLE = re.compile(r"(?<!\$)\$\{([A-Z_]+)(:[-?])([^}]*)\}")


def variables(value: Any) -> dict[str, tuple[str, str]]:
    """The variables that a part of the file names: how (`:?` must be set, `:-` may be) and what follows."""
    return {name: (how, rest) for name, how, rest in VARIABLE.findall(yaml.safe_dump(value, width=10_000))}


def test_every_service_every_migration_and_every_store_is_there() -> None:
    assert PROGRAMS.keys() == {*SERVICES, *MIGRATIONS, *STORES, TOKENS, ROLES}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_may_do_little(name: str) -> None:
    program = PROGRAMS[name]
    assert program["read_only"] is True
    assert program["cap_drop"] == ["ALL"]
    assert program["security_opt"] == ["no-new-privileges:true"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", program["user"]), "a number, so that nobody has to look it up"
    assert not {"privileged", "cap_add", "network_mode", "pid", "devices"} & program.keys()
    if name not in {*STORES, ROLES}:
        assert program["user"] == "10001:10001"


@pytest.mark.parametrize("name", [*SERVICES, *sorted(MIGRATIONS)])
def test_the_images_are_those_that_are_built_here(name: str) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    service = name.removeprefix("migrate-")
    assert PROGRAMS[name]["image"] == f"${{ZHIYIN_IMAGE_PREFIX:-zhiyin-}}{service}:${{ZHIYIN_TAG:-{version}}}"
    assert service in Dockerfile.read(ROOT / "deploy" / "images" / "Dockerfile").stages


@pytest.mark.parametrize("name", sorted(STORES))
def test_the_images_of_stores_are_no_moving_ones(name: str) -> None:
    [(_, image)] = variables(PROGRAMS[name]["image"]).values()
    assert re.fullmatch(r"docker\.io/[a-z/]+:\d+(\.\d+)?", image)


def test_one_port_is_published_and_on_this_machine_only() -> None:
    published = {name: program["ports"] for name, program in PROGRAMS.items() if "ports" in program}
    assert published == {"dialogue": ["${ZHIYIN_LISTEN:-127.0.0.1:8000}:8080"]}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_given_settings_that_it_has(name: str) -> None:
    given = PROGRAMS[name]["environment"]
    assert {variable.removeprefix("ZHIYIN_").lower() for variable in given} <= SETTINGS[name].model_fields.keys()
    assert given["ZHIYIN_ADVERTISE_HOST"] == name
    assert given["ZHIYIN_REGISTRY"] == "consul"
    assert given["ZHIYIN_MIGRATE_ON_START"] == "false"


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_not_said_is_production(name: str) -> None:
    given = PROGRAMS[name]["environment"]
    assert given["ZHIYIN_ENVIRONMENT"] == "${ZHIYIN_ENVIRONMENT:-production}"
    assert given.get("ZHIYIN_DEMO", "${ZHIYIN_DEMO:-false}") == "${ZHIYIN_DEMO:-false}"
    assert given.get("ZHIYIN_DEMO_PUBLIC", "${ZHIYIN_DEMO_PUBLIC:-false}") == "${ZHIYIN_DEMO_PUBLIC:-false}"


def test_the_demo_is_asked_for(prepared: Path) -> None:
    assert not [name for name in prepare(prepared) if name.startswith("ZHIYIN_")]
    demo = {"ZHIYIN_ENVIRONMENT": "development", "ZHIYIN_DEMO": "true", "ZHIYIN_DEMO_PUBLIC": "true"}
    made = prepare(prepared, "--demo")
    assert demo.items() <= made.items()
    bootstrap = yaml.safe_load((prepared / "secrets" / "bootstrap.json").read_text(encoding="utf-8"))
    assert "lilei" in {each["username"] for each in bootstrap["accounts"]}


@pytest.mark.parametrize("name", SERVICES)
def test_who_somebody_is_is_asked_at_login_and_each_has_its_own_token(name: str) -> None:
    given = PROGRAMS[name]["environment"]
    assert given["ZHIYIN_LOGIN_URL"] == "http://login:8080"
    assert given["ZHIYIN_CONSUL_TOKEN"].startswith(f"${{CONSUL_TOKEN_{name.upper()}:?")
    if name != "login":
        assert given["ZHIYIN_CLIENT_ID"] == name


def test_only_consul_and_who_makes_its_tokens_have_the_management_token() -> None:
    having = {name for name in PROGRAMS if "CONSUL_MANAGEMENT_TOKEN" in variables(PROGRAMS[name])}
    assert having == {"consul", TOKENS}
    given = set(PROGRAMS[TOKENS]["environment"])
    assert {f"ZHIYIN_CONSUL_TOKENS__{name.upper()}" for name in SERVICES} <= given
    assert PROGRAMS[TOKENS]["entrypoint"] == ["python", "-m", "shared.calls.consul_acl"]
    mounted = str(PROGRAMS["consul"]["volumes"][0]).split(":")
    assert PROGRAMS["consul"]["entrypoint"] == ["sh", f"{mounted[1]}/start.sh"]
    config = json.loads((FOLDER / mounted[0] / "consul.json").read_text(encoding="utf-8"))
    assert config["acl"]["default_policy"] == "deny"


@pytest.mark.parametrize("name", sorted(MIGRATIONS))
def test_a_migration_is_for_the_database_of_its_service_and_comes_before_it(name: str) -> None:
    service = name.removeprefix("migrate-")
    program = PROGRAMS[name]
    assert program["entrypoint"] == ["python", "-m", "shared.storage.migrations", service]
    url = program["environment"]["ZHIYIN_DATABASE_URL"]
    assert url.endswith(f"@postgresql:5432/{service}")
    users = {"business", "worker"} if service == "business" else {service}
    assert {each for each in SERVICES if PROGRAMS[each]["environment"].get("ZHIYIN_DATABASE_URL") == url} == users
    for each in users:
        assert PROGRAMS[each]["depends_on"][name] == {"condition": "service_completed_successfully"}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_its_own_role_and_user_and_no_other_password(name: str) -> None:
    asked = {each for each in variables(PROGRAMS[name]) if each.startswith(("REDIS_", "POSTGRESQL_"))}
    database = {"worker": "business"}.get(name, name)
    own = {f"REDIS_PASSWORD_{name.upper()}", f"POSTGRESQL_PASSWORD_{database.upper()}"}
    assert asked == (set() if name == "intent" else own)
    if name != "intent":
        assert PROGRAMS[name]["environment"]["ZHIYIN_REDIS_URL"].startswith(f"redis://{name}:")
        assert PROGRAMS[name]["environment"]["ZHIYIN_DATABASE_URL"].startswith(f"postgresql+asyncpg://{database}:")


def test_the_chart_s_scripts_make_the_users_and_the_roles() -> None:
    for name, folder, script in (("redis", "redis", "start.sh"), (ROLES, "postgresql", "roles.sh")):
        program = PROGRAMS[name]
        mounts = dict(each.split(":")[1::-1] for each in program["volumes"])
        path, _, file = program["entrypoint"][1].rpartition("/")
        assert ((FOLDER / mounts[path]).resolve(), file) == (CHART_FILES / folder, script)
        assert mounts[program["environment"]["PASSWORD_FILES"]] == f"./secrets/{folder}"
        text = (CHART_FILES / folder / script).read_text(encoding="utf-8")
        asked = set(re.findall(r"\$(INSTALLATION|DATA|RUN|PGHOST|PGUSER|PASSWORD_FILES)\b", text)) - {"PGUSER"}
        assert asked <= program["environment"].keys()
    assert PROGRAMS[ROLES]["image"] == PROGRAMS["postgresql"]["image"]
    assert PROGRAMS[ROLES]["environment"]["PGUSER"] == PROGRAMS["postgresql"]["environment"]["POSTGRES_USER"]
    for name in MIGRATIONS:
        assert PROGRAMS[name]["depends_on"] == {ROLES: {"condition": "service_completed_successfully"}}


def test_who_keeps_nothing_does_not_reach_the_stores() -> None:
    networks = {name: set(program["networks"]) for name, program in PROGRAMS.items()}
    assert {name for name, known in networks.items() if "stores" not in known} == {"intent", "consul", TOKENS}
    assert {name for name, known in networks.items() if "services" in known} == {*SERVICES, "consul", TOKENS}
    assert COMPOSE["networks"] == {"services": None, "stores": {"internal": True}}
    for name, program in PROGRAMS.items():
        for other in program.get("depends_on", {}):
            assert networks[name] & networks[other] or other in MIGRATIONS, f"{name} does not reach {other}"


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_is_waited_for_can_come(name: str) -> None:
    for other, how in PROGRAMS[name].get("depends_on", {}).items():
        match how["condition"]:
            case "service_completed_successfully":
                assert other in {*MIGRATIONS, ROLES}
            case "service_healthy":
                assert "healthcheck" in PROGRAMS[other]
            case condition:
                pytest.fail(condition)


def test_nothing_starts_without_secrets_of_its_own() -> None:
    secret = re.compile(r"password|secret|token|REDISCLI_AUTH", re.IGNORECASE)
    for name, program in PROGRAMS.items():
        for variable, value in program.get("environment", {}).items():
            if variable != "PASSWORD_FILES" and (secret.search(variable) or ("://" in value and "@" in value)):
                found = variables(value)
                assert found, f"{name}: {variable} is the same for everybody"
                assert all(how == ":?" for how, _ in found.values()), f"{name}: {variable} has a default"
    assert COMPOSE["secrets"] == {"bootstrap.json": {"file": "secrets/bootstrap.json"}}
    ignored = (FOLDER / ".gitignore").read_text(encoding="utf-8").split()
    assert ignored == [".env", "secrets/"]


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """A copy of the folder in a copy of the project, as far as `prepare.py` needs one."""
    shutil.copytree(FOLDER, tmp_path / "deploy" / "compose", ignore=shutil.ignore_patterns(".env", "secrets"))
    shutil.copytree(ROOT / "cli", tmp_path / "cli", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "deploy" / "compose"


def prepare(folder: Path, *options: str) -> dict[str, str]:
    # -S: with the standard library only, as somebody has it who never installed anything.
    subprocess.run([sys.executable, "-S", folder / "prepare.py", *options], check=True, capture_output=True, timeout=60)
    lines = (folder / ".env").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines)


def test_preparing_makes_every_secret_once(prepared: Path) -> None:
    made = prepare(prepared)
    assert made.keys() == {name for name, (how, _) in variables(COMPOSE).items() if how == ":?"}
    assert all(len(value) >= 32 and re.fullmatch(r"[\w-]+", value) for value in made.values()), "they stand in URLs"
    assert len(set(made.values())) == len(made)
    assert (prepared / ".env").stat().st_mode & 0o777 == 0o600
    assert (prepared / "secrets").stat().st_mode & 0o777 == 0o700
    (prepared / ".env").write_text((prepared / ".env").read_text() + "ZHIYIN_LISTEN=0.0.0.0:80\n")
    assert prepare(prepared) == {**made, "ZHIYIN_LISTEN": "0.0.0.0:80"}


def test_the_stores_have_the_passwords_that_services_have(prepared: Path) -> None:
    made = prepare(prepared)
    for store, chief, users in (
        ("redis", "admin", ("login", "dialogue", "business", "worker")),
        ("postgresql", "superuser", ("login", "dialogue", "business")),
    ):
        folder = prepared / "secrets" / store
        found = {each.name: each.read_text(encoding="utf-8") for each in folder.iterdir()}
        own = {user: made[f"{store.upper()}_PASSWORD_{user.upper()}"] for user in users}
        assert found == {chief: made[f"{store.upper()}_PASSWORD"], **own}
        # The stores read them as users of their own; the folder above keeps others out.
        assert folder.stat().st_mode & 0o777 == 0o755
    changed = {**made, "REDIS_PASSWORD_LOGIN": "another-password-of-32-characters-!"}
    (prepared / ".env").write_text("".join(f"{name}={value}\n" for name, value in changed.items()))
    prepare(prepared)
    assert (prepared / "secrets" / "redis" / "login").read_text() == changed["REDIS_PASSWORD_LOGIN"]


def test_the_accounts_file_fits_the_services_secrets(prepared: Path) -> None:
    made = prepare(prepared)
    bootstrap = yaml.safe_load((prepared / "secrets" / "bootstrap.json").read_text(encoding="utf-8"))
    clients = {each["client_id"]: each["client_secret"] for each in bootstrap["clients"]}
    for service in ("dialogue", "intent", "business", "worker"):
        assert clients[service] == made[f"{service.upper()}_CLIENT_SECRET"]
    assert {each["username"] for each in bootstrap["accounts"]} == {"agent", "operator", "admin"}
    assert (prepared / "secrets" / "bootstrap.json").stat().st_mode & 0o004, "login runs as another user"
