import pytest
from pydantic import ValidationError

from services.dialogue.settings import Company, Settings


def test_a_company_has_its_own_time_zone_and_currency(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZHIYIN_COMPANIES", '{"acme": {"timezone": "America/New_York", "currency": "USD"}, "b": {}}')
    known = Settings().companies
    assert known == {"acme": Company(timezone="America/New_York", currency="USD"), "b": Company()}


@pytest.mark.parametrize(
    ("companies", "said"),
    [
        ('{"acme": {"timezone": "Nowhere"}}', "there is no time zone 'Nowhere'"),
        ('{"acme": {"currency": "ABZ"}}', "there is no currency 'ABZ'"),
        ('{"acme": {"currency": "usd"}}', "there is no currency 'usd'"),
        ('{"acme": {"zone": "UTC"}}', "Extra inputs are not permitted"),
        ('{"*": {}}', "String should match pattern"),
    ],
)
def test_a_company_that_cannot_be_is_refused(monkeypatch: pytest.MonkeyPatch, companies: str, said: str) -> None:
    monkeypatch.setenv("ZHIYIN_COMPANIES", companies)
    with pytest.raises(ValidationError, match=r"companies") as refused:
        Settings()
    assert said in str(refused.value)
