from pathlib import Path

from services.learning.settings import Settings


def test_bundles_are_kept_in_the_home_unless_it_is_said() -> None:
    assert Settings(home=Path("/var/zhiyin")).store_url == "/var/zhiyin/data/bundles"
    assert Settings(store="s3://bucket/bundles").store_url == "s3://bucket/bundles"


def test_the_database_is_a_file_in_the_home_unless_it_is_said() -> None:
    assert Settings(home=Path("/var/zhiyin")).learning_database.endswith("/var/zhiyin/data/learning.sqlite")
