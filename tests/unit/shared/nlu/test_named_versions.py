"""What the aliases of a registry name, from one process to another."""

from pathlib import Path

import pytest

from shared.nlu.named_versions import NamedVersion, read_named, write_named

FIRST = NamedVersion(number=1, source="/models/v1", tags={"zhiyin.version": "v1"})
SECOND = NamedVersion(number=2, source="/models/v2", tags={})


def test_what_was_written_last_is_read(tmp_path: Path) -> None:
    store = tmp_path / "mlflow.db"
    assert read_named(store, "shop") == {}
    write_named(store, "shop", {"production": FIRST, "canary": SECOND})
    write_named(store, "shop", {"production": SECOND})
    write_named(store, "acme.shop", {"canary": FIRST})
    assert read_named(store, "shop") == {"production": SECOND}
    assert read_named(store, "acme.shop") == {"canary": FIRST}
    assert sorted(each.name for each in (tmp_path / "mlflow.aliases").iterdir()) == ["acme.shop.json", "shop.json"]


def test_what_a_later_release_adds_is_ignored_and_what_is_damaged_is_told(tmp_path: Path) -> None:
    store = tmp_path / "mlflow.db"
    write_named(store, "shop", {"production": FIRST})
    path = tmp_path / "mlflow.aliases" / "shop.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"number"', '"added": 1, "number"'), encoding="utf-8")
    assert read_named(store, "shop") == {"production": FIRST}
    path.write_text("[]", encoding="utf-8")
    with pytest.raises(ValueError, match=r"shop\.json cannot be read"):
        read_named(store, "shop")
