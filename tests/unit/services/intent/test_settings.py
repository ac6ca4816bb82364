from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from services.intent.settings import Settings


def test_today_is_the_day_where_the_customers_are() -> None:
    ahead, behind = Settings(timezone="Pacific/Kiritimati").today(), Settings(timezone="Etc/GMT+12").today()
    assert ahead - behind in (timedelta(days=1), timedelta(days=2))
    assert abs(Settings().today() - datetime.now(UTC).date()) <= timedelta(days=1)


@pytest.mark.parametrize(
    "wrong",
    [{"timezone": "Mars/Olympus"}, {"timezone": "/etc"}, {"models": ()}, {"models": ("../x",)}, {"queue_texts": 1}],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate(wrong)


def test_the_environment_names_the_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZHIYIN_MODELS", '["shop", "bank"]')
    assert Settings().models == ("shop", "bank")
