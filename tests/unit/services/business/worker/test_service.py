import pytest
from pydantic import SecretStr

from services.business.rules.rule_book import RulesError
from services.business.settings import Settings
from services.business.worker.service import Consumer, as_environment, create_app
from shared.errors import Unavailable


def test_another_process_gets_the_same_settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    given = Settings(
        home=settings.home,
        database_url=settings.database_url,
        client_secret=SecretStr("secret"),
        faults={"a.place": 1.5},
        static_services={"login": "127.0.0.1:1"},
        connectors={"bank.core": {"url": "http://core.internal", "networks": ["10.0.0.0/8"]}},
        concurrency=3,
        seed_demo=False,
        instance=None,
    )
    for name, value in as_environment(given).items():
        monkeypatch.setenv(name, value)

    assert Settings() == given


async def test_a_consumer_that_was_never_heard_is_not_ready(settings: Settings) -> None:
    consumer = Consumer(settings)

    with pytest.raises(Unavailable):
        await consumer.check()
    await consumer.stop(warm_seconds=1)
    assert consumer.pid is None


def test_it_does_not_start_with_broken_rules(settings: Settings) -> None:
    (settings.rules_dir / "cancel_order.json").write_text("{}", encoding="utf-8")
    with pytest.raises(RulesError):
        create_app(settings)
