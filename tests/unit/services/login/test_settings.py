"""Settings of login: what is believed by default, and what production refuses."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from services.login.settings import Settings

SECRET = SecretStr("x" * 32)


def test_guests_are_the_demo_customer_only_where_that_is_said() -> None:
    assert Settings().customer_of_guests is None
    assert Settings(demo=True).customer_of_guests == "C1001"
    assert Settings(guest_customer="C1002").customer_of_guests == "C1002"
    assert Settings(demo=True, guest_customer="C1002").customer_of_guests == "C1002"
    assert Settings(demo=True, guest_customer="").customer_of_guests is None
    assert Settings(environment="production", login_secret=SECRET).customer_of_guests is None


@pytest.mark.parametrize("opens", [{"demo": True}, {"guest_customer": "C1001"}])
def test_a_customer_for_guests_is_refused_in_production(opens: dict[str, Any]) -> None:
    (name,) = opens
    with pytest.raises(ValidationError, match=f"ZHIYIN_{name.upper()}"):
        Settings(environment="production", login_secret=SECRET, **opens)
    with pytest.raises(ValidationError, match=f"ZHIYIN_{name.upper()}"):
        Settings(environment="production", login_secret=SECRET, demo_public=True, **opens)
    assert Settings(environment="production", login_secret=SECRET, guest_customer="").customer_of_guests is None


@pytest.mark.parametrize("opens", [{"demo": True}, {"guest_customer": "C1001"}])
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "10.0.0.1", "shop.example.com"])
def test_a_customer_for_guests_stays_on_this_machine_unless_that_is_allowed(host: str, opens: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="ZHIYIN_DEMO_PUBLIC"):
        Settings(host=host, **opens)
    assert Settings(host=host, demo_public=True, **opens).customer_of_guests
    assert Settings(host=host).customer_of_guests is None


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_on_this_machine_the_demo_needs_no_more_words(host: str) -> None:
    assert Settings(host=host, demo=True).customer_of_guests == "C1001"


def test_without_any_setting_everything_is_production(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZHIYIN_ENVIRONMENT")
    with pytest.raises(ValidationError, match="ZHIYIN_LOGIN_SECRET"):
        Settings()
    settings = Settings(login_secret=SECRET)
    assert (settings.environment, settings.customer_of_guests) == ("production", None)


@pytest.mark.parametrize("secret", ["development-only", "x" * 31])
def test_production_needs_a_secret_of_its_own(secret: str) -> None:
    with pytest.raises(ValidationError, match="ZHIYIN_LOGIN_SECRET") as raised:
        Settings(environment="production", login_secret=SecretStr(secret))
    assert secret not in str(raised.value)


def test_a_second_login_secret_is_as_long() -> None:
    with pytest.raises(ValidationError, match="ZHIYIN_LOGIN_SECRET_ACCEPTED"):
        Settings(environment="production", login_secret=SECRET, login_secret_accepted=SecretStr("x"))
    both = Settings(environment="production", login_secret=SECRET, login_secret_accepted=SecretStr("y" * 32))
    assert both.login_secrets == ("x" * 32, "y" * 32)
    assert Settings(environment="production", login_secret=SECRET).login_secrets == ("x" * 32,)


def test_initial_passwords_are_replaced_outside_development() -> None:
    assert not Settings(environment="development").initial_passwords_change
    assert Settings(environment="production", login_secret=SECRET).initial_passwords_change
    assert Settings(environment="development", change_initial_passwords=True).initial_passwords_change
    told = Settings(environment="production", login_secret=SECRET, change_initial_passwords=False)
    assert not told.initial_passwords_change


def test_an_initial_password_of_staff_does_not_last() -> None:
    moment = datetime(2026, 11, 30, tzinfo=UTC)
    settings = Settings(initial_password_days=2)
    assert settings.initial_until(["customer"], moment) is None
    for roles in (["agent"], ["customer", "operator"], ["admin"]):
        assert settings.initial_until(roles, moment) == moment + timedelta(days=2)


def test_a_key_is_kept_as_long_as_the_longest_token() -> None:
    assert Settings(access_seconds=10, staff_access_seconds=5, service_seconds=20).longest_token_seconds == 20
    assert Settings(access_seconds=30, staff_access_seconds=5, service_seconds=20).longest_token_seconds == 30
    assert Settings(access_seconds=10, staff_access_seconds=40, service_seconds=20).longest_token_seconds == 40
