"""The example in docs/build-an-assistant.md, added to the demo assistant as it is printed there."""

import re
import shutil
from pathlib import Path

from cli.assistant_tests import DemoShops
from services.dialogue.assistant.assistant import load_assistant
from services.dialogue.testing import load_conversations, run_conversation
from tests.unit.services.dialogue.understandings import understanding

ROOT = Path(__file__).parents[4]
FILE = re.compile(r"```yaml\n# (\S+/\S+\.yml)\n(.*?)```", re.DOTALL)


def test_the_example_works(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    shutil.copytree(ROOT / "assistants" / "shop", folder)
    shutil.rmtree(folder / "tests")
    (folder / "tests").mkdir()
    files = FILE.findall((ROOT / "docs" / "build-an-assistant.md").read_text(encoding="utf-8"))
    assert [name for name, _ in files] == [
        "nlu/repair.yml",
        "flows/repair.yml",
        "replies/zh.yml",
        "replies/en.yml",
        "tests/repair.yml",
    ]
    for name, text in files:
        with (folder / name).open("a", encoding="utf-8") as file:
            file.write(text)
    meanings = {"我的耳机坏了想修一下": "repair", "可以报修吗": "repair", "袖口开线了": "inform"}
    assistant = load_assistant(folder)
    [case] = load_conversations(folder, assistant)
    with DemoShops(folder) as shops:
        result = run_conversation(
            assistant, case, lambda text: understanding(text, meanings[text]), shops.open(case.conversation.customer)
        )
    assert result.passed, "\n".join([*result.failures, *result.transcript])
