"""Settings: read once, frozen, and careful with secrets."""

from importlib import import_module
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from shared.settings import ServiceSettings, explain


def test_each_field_is_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZHIYIN_PORT", "8123")
    monkeypatch.setenv("ZHIYIN_STATIC_SERVICES", '{"login": "127.0.0.1:8001"}')
    monkeypatch.setenv("ZHIYIN_TENANT", "")
    settings = ServiceSettings()
    assert settings.port == 8123
    assert settings.static_services == {"login": "127.0.0.1:8001"}
    assert settings.tenant == "default", "an empty variable is none"


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        ServiceSettings().port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("TENANT", "*"),
        ("TENANT", "Two Words"),
        ("ENVIRONMENT", "staging"),
        ("REGISTRY", "zookeeper"),
        ("DRAIN_SECONDS", "-1"),
        ("MAX_BODY_BYTES", "0"),
        ("RECONCILE_SECONDS", "0"),
    ],
)
def test_values_that_make_no_sense_are_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"ZHIYIN_{name}", value)
    with pytest.raises(ValidationError, match=name.lower()):
        ServiceSettings()


def test_the_development_secret_is_refused_in_production() -> None:
    with pytest.raises(ValidationError, match="ZHIYIN_CLIENT_SECRET"):
        ServiceSettings(environment="production", client_id="dialogue")
    ServiceSettings(environment="production", client_id="dialogue", client_secret=SecretStr("of its own"))
    ServiceSettings(environment="production")


def test_faults_are_refused_in_production() -> None:
    assert ServiceSettings(faults={"a.place": 1.0}).faults
    with pytest.raises(ValidationError, match="ZHIYIN_FAULTS"):
        ServiceSettings(environment="production", faults={"a.place": 1.0})


def test_what_is_forgotten_is_production(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZHIYIN_ENVIRONMENT")
    assert ServiceSettings().environment == "production"
    with pytest.raises(ValidationError, match="ZHIYIN_CLIENT_SECRET"):
        ServiceSettings(client_id="dialogue")


def test_a_secret_is_neither_printed_nor_in_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZHIYIN_CLIENT_SECRET", "hush-hush")
    assert "hush-hush" not in repr(ServiceSettings())
    monkeypatch.setenv("ZHIYIN_ENVIRONMENT", "production")
    monkeypatch.setenv("ZHIYIN_FAULTS", '{"a.place": 1}')
    with pytest.raises(ValidationError) as raised:
        ServiceSettings()
    assert "hush-hush" not in str(raised.value)


def test_a_service_has_a_database_of_its_own(tmp_path: Path) -> None:
    assert ServiceSettings(home=tmp_path).database("login") == f"sqlite+aiosqlite:///{tmp_path}/data/login.sqlite"
    url = "postgresql+asyncpg://login@db/login"
    assert ServiceSettings(database_url=url).database("login") == url
    assert Path(ServiceSettings(home=Path("here")).database("x").removeprefix("sqlite+aiosqlite:///")).is_absolute()


def test_what_is_wrong_with_a_setting_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZHIYIN_ENVIRONMENT", "production")
    monkeypatch.setenv("ZHIYIN_CLIENT_ID", "dialogue")
    with pytest.raises(ValidationError) as raised:
        ServiceSettings()
    assert explain(raised.value).startswith("ZHIYIN_CLIENT_SECRET still has its development value")


@pytest.mark.parametrize("service", ["business", "dialogue", "intent", "learning", "login"])
def test_no_service_means_something_else_by_a_name_that_is_everybodys(service: str) -> None:
    settings = import_module(f"services.{service}.settings").Settings
    # Login's port has another default and the same meaning.
    assert settings.__annotations__.keys() & ServiceSettings.model_fields.keys() <= {"port"}
