"""Settings of the command line and the ways to name an assistant."""

from pathlib import Path

import pytest

from cli.errors import UsageError
from cli.settings import PROJECT, assistant_folder, load_settings


def test_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZHIYIN_DIALOGUE_PORT", "")
    settings = load_settings()
    assert (settings.dialogue_port, settings.redis_port, settings.consul_port) == (8000, 8010, 8020)


def test_a_value_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZHIYIN_DIALOGUE_PORT", "eighty")
    with pytest.raises(UsageError, match=r"^ZHIYIN_DIALOGUE_PORT=eighty cannot be used: .+\.$"):
        load_settings()


@pytest.mark.parametrize("name", ["shop", "assistants/shop", str(PROJECT / "assistants" / "shop")])
def test_ways_to_name_an_assistant(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert assistant_folder(Path(name)) == PROJECT / "assistants" / "shop"


def test_no_such_assistant(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"There is no assistant in .*/none \(no assistant\.yml\)"):
        assistant_folder(tmp_path / "none")
