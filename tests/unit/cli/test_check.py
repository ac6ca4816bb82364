"""What `zhiyin check` says of an assistant's files."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cli.check import check, findings_in
from cli.errors import CommandError
from cli.settings import PROJECT


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    shutil.copytree(PROJECT / "assistants" / "shop", folder)
    return folder


def test_the_demo_can_be_used(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(shop, as_json=False)
    written = capsys.readouterr()
    assert (written.out, written.err) == ("", "✓ shop can be used.\n")


def test_mistakes_everywhere_are_told_at_once(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (shop / "nlu" / "greet.yml").open("a", encoding="utf-8") as file:
        file.write("    - '[hello](place)'\n")
    (shop / "tests" / "more.yml").write_text("- conversation: x\n  turns:\n    - {user: hi, expect: [no_such]}\n")
    found, _ = findings_in(shop)
    assert [line.split(": ", 1)[1] for line in found if "more.yml:3" in line] == ["there is no reply 'no_such'"]
    assert any("unknown entity 'place'" in line and "greet.yml:" in line for line in found)
    with pytest.raises(CommandError, match=r"^2 mistakes in shop\.$"):
        check(shop, as_json=True)
    assert json.loads(capsys.readouterr().out) == {"mistakes": found, "warnings": []}


def test_a_sentence_in_two_intents_or_twice_in_one_is_a_warning(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("greet", "track_order", "track_order"):
        with (shop / "nlu" / f"{name}.yml").open("a", encoding="utf-8") as file:
            file.write("    - where is the parcel of my aunt\n")
    check(shop, as_json=False)
    written = capsys.readouterr()
    two, twice = (line for line in written.out.splitlines() if "aunt" in line)
    assert two.startswith(f"warning: {shop}/nlu/track_order.yml:")
    assert "already an example of greet (greet.yml:" in two
    assert "already an example of greet (greet.yml:" in twice
    assert written.err == "✓ shop can be used.\n"


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("replies/en.yml", "{order.item}", "{order.itm}", "there is no 'itm' in 'order'; did you mean 'item'?"),
        ("nlu/greet.yml", "    - ", "    - Note: hello\n    - ", "one with a colon and a blank in it needs quotes"),
    ],
)
def test_a_slip_is_told_with_a_hint(shop: Path, file: str, old: str, new: str, said: str) -> None:
    text = (shop / file).read_text(encoding="utf-8")
    assert old in text
    (shop / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    found, _ = findings_in(shop)
    assert any(said in line for line in found), found


def test_nothing_heavy_is_imported() -> None:
    heavy = {"torch", "transformers", "numpy", "sqlalchemy", "fastapi", "aiohttp", "mlflow", "openvino"}
    code = f"import sys, cli.check; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
