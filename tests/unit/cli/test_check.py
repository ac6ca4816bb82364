"""What `zhiyin check` says of an assistant's files."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cli.check import check, mistakes_in
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
        file.write("    - where is my parcel\n")
    tracking = (shop / "nlu" / "track_order.yml").read_text(encoding="utf-8")
    (shop / "nlu" / "track_order.yml").write_text(tracking + "    - where is my parcel\n", encoding="utf-8")
    (shop / "tests" / "more.yml").write_text("- conversation: x\n  turns:\n    - {user: hi, expect: [no_such]}\n")
    found = mistakes_in(shop)
    assert [line.split(": ", 1)[1] for line in found if "more.yml:3" in line] == ["there is no reply 'no_such'"]
    assert any("is already an example of" in line and ".yml:" in line for line in found)
    with pytest.raises(CommandError, match=r"^2 mistakes in shop\.$"):
        check(shop, as_json=True)
    assert json.loads(capsys.readouterr().out) == found


def test_nothing_heavy_is_imported() -> None:
    heavy = {"torch", "transformers", "numpy", "sqlalchemy", "fastapi", "aiohttp", "mlflow", "openvino"}
    code = f"import sys, cli.check; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
