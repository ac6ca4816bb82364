"""What the pages for people name exists: files, folders, `make` targets, links, headings; both READMEs agree."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "deploy/**/*.md", ".github/**/*.md")
    for path in ROOT.glob(pattern)
)

MADE = ("deploy/compose/.env", "deploy/compose/secrets", "tests/repair.yml", "tests/wifi.yml")
"""What commands write, and what readers are asked to write: not in a clone."""
FOLDERS = (ROOT, ROOT / "assistants" / "shop")
"""Where paths begin; docs/build-an-assistant.md names them within an assistant."""

FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"`([^`\n]+)`")
TOP = r"\.ci|\.github|assistants|bench|cli|deploy|docs|examples|services|shared|tests"
PATH = re.compile(rf"(?<![\w./:-])(?:{TOP})/[\w./*<>-]*")
TARGET = re.compile(r"(?:^|[;&|(] *)make ([a-z][a-z0-9-]*)(?![\w=/])", re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.+?)\s*$", re.MULTILINE)


def commands(text: str) -> Iterator[str]:
    """The code of a page: spans between backticks, and blocks."""
    yield from FENCE.findall(text)
    yield from CODE.findall(FENCE.sub("", text))


def missing_paths(text: str) -> set[str]:
    """Paths in a page's code that do not exist; `*` and `<name>` stand for anything."""
    named = {path.rstrip("./") for code in commands(text) for path in PATH.findall(code)}
    return {
        path
        for path in named
        if not path.startswith(MADE) and not any(any(folder.glob(re.sub(r"<[\w-]+>", "*", path))) for folder in FOLDERS)
    }


def missing_targets(text: str, makefile: str) -> set[str]:
    """Targets of `make` in a page's code that the Makefile does not have."""
    named = {target for code in commands(text) for target in TARGET.findall(code)}
    return {target for target in named if not re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE)}


def anchor(heading: str) -> str:
    """The fragment by which a heading is linked to."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def broken_links(text: str, folder: Path) -> set[str]:
    """Links of a page in `folder` that lead to no file, or to no heading of a page."""
    broken = set()
    for link in LINK.findall(CODE.sub("", FENCE.sub("", text))):
        if "://" in link or link.startswith("mailto:"):
            continue
        file, _, fragment = link.partition("#")
        target = folder / file
        found = target.exists() and (
            not fragment or fragment in anchors(target.read_text(encoding="utf-8") if file else text)
        )
        if not found:
            broken.add(link)
    return broken


def anchors(text: str) -> set[str]:
    """The fragments of a page's headings."""
    return {anchor(each) for each in HEADING.findall(FENCE.sub("", text))}


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_names_exists(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert missing_paths(text) == set()
    assert missing_targets(text, (ROOT / "Makefile").read_text(encoding="utf-8")) == set()
    assert broken_links(text, (ROOT / page).parent) == set()


def test_the_pages_are_looked_at() -> None:
    assert {
        "README.md",
        "README.zh-CN.md",
        "CONTRIBUTING.md",
        "docs/architecture.md",
        "docs/decisions/README.md",
    } <= set(PAGES)


def test_what_does_not_exist_is_found() -> None:
    text = "`shared/http/nowhere.py`, `services/*/app.py`\n```sh\nmake nothing\nls docs/none\n```\n`make nothing-too`"
    assert missing_paths(text) == {"shared/http/nowhere.py", "docs/none"}
    assert missing_targets(text, "check:\n") == {"nothing", "nothing-too"}
    text = "# Here it is\n[a](#here-it-is) [b](#gone) [c](none.md) [d](README.md#licence) [e](README.md#none)"
    assert broken_links(text, ROOT) == {"#gone", "none.md", "README.md#none"}


def test_every_decision_is_in_the_index() -> None:
    folder = ROOT / "docs" / "decisions"
    index = set(LINK.findall((folder / "README.md").read_text(encoding="utf-8")))
    assert index == {path.name for path in folder.glob("0*.md")}


def test_both_readmes_have_the_same_links_commands_and_parts() -> None:
    english, chinese = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh-CN.md"))
    assert links(english) == links(chinese)
    assert code(english) == code(chinese)
    assert len(HEADING.findall(english)) == len(HEADING.findall(chinese))


def links(text: str) -> list[str]:
    """The links of a README but for that to the other language."""
    return sorted(each for each in LINK.findall(text) if not each.startswith("README"))


def code(text: str) -> list[str]:
    """The commands of a README, without their comments."""
    return [re.sub(r"\s+#.*", "", block) for block in FENCE.findall(text)]
