from pathlib import Path

import pytest

from cli.check import findings_in
from cli.errors import UsageError
from cli.new import new
from services.dialogue.assistant.assistant import load_assistant


def test_a_new_assistant_has_no_mistakes_and_its_name_everywhere(tmp_path: Path) -> None:
    folder = tmp_path / "bank"
    new(folder)
    assert findings_in(folder) == ([], [])
    assert load_assistant(folder).name == "bank"
    assert "zhiyin test bank" in (folder / "tests" / "loans.yml").read_text(encoding="utf-8")
    assert not [path for path in folder.rglob("*") if path.is_file() and "__NAME__" in path.read_text(encoding="utf-8")]


def test_what_is_there_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "bank").mkdir()
    with pytest.raises(UsageError, match="is there already"):
        new(tmp_path / "bank")


@pytest.mark.parametrize("name", ["Bank", "银行", "1st", "a b", "a" * 65])
def test_a_name_that_can_be_none_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="An assistant's name has"):
        new(tmp_path / name)
    assert not (tmp_path / name).exists()
