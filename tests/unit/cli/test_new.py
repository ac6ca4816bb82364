from pathlib import Path

import pytest

from cli.check import findings_in
from cli.errors import UsageError
from cli.new import new
from cli.settings import PROJECT
from services.dialogue.assistant.assistant import load_assistant

DEMO = PROJECT / "assistants" / "shop"


def test_a_new_assistant_has_no_mistakes_and_speaks_of_no_shop(tmp_path: Path) -> None:
    folder = tmp_path / "bank"
    new(folder, DEMO)
    assert findings_in(folder) == ([], [])
    assert load_assistant(folder).name == "bank"
    for language, words in (("zh", "商店"), ("en", "shop")):
        assert words not in (folder / "replies" / f"{language}.yml").read_text(encoding="utf-8")


def test_what_is_there_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "bank").mkdir()
    with pytest.raises(UsageError, match="is there already"):
        new(tmp_path / "bank", DEMO)


@pytest.mark.parametrize("name", ["Bank", "银行", "1st", "a b", "a" * 65])
def test_a_name_that_can_be_none_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="An assistant's name has"):
        new(tmp_path / name, DEMO)
    assert not (tmp_path / name).exists()
