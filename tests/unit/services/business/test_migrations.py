from pathlib import Path

from alembic import command
from alembic.config import Config

import services.business


def test_the_migrations_go_both_ways_and_match_the_models(tmp_path: Path) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(services.business.__file__).parent / "migrations"))
    config.attributes["url"] = f"sqlite+aiosqlite:///{tmp_path / 'migrated.sqlite'}"

    for _ in range(2):
        command.upgrade(config, "head")
        command.check(config)
        command.downgrade(config, "base")
