import pytest

from services.business.settings import Settings


@pytest.mark.parametrize(
    ("environment", "wanted", "there"),
    [
        ("development", True, True),
        ("development", False, False),
        ("production", True, False),
        ("production", False, False),
    ],
)
def test_the_demo_shop_is_there_in_development_only_and_only_where_it_is_wanted(
    settings: Settings, environment: str, wanted: bool, there: bool
) -> None:
    changed = settings.model_copy(update={"environment": environment, "seed_demo": wanted})
    assert changed.demo is there
