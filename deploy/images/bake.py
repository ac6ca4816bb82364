"""Gives an image its model: trains it, or takes the one that is there."""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

PRODUCTION = "production"
ALWAYS = ("manifest.json", "tokenizer.json", "card.md")
"""What serving needs besides the file that a library computes from."""
IF_THERE = ("scope.safetensors", "golden.json", "reference.json")
"""What it uses where training wrote it."""


def main() -> None:
    """`train ASSISTANT HOME` or `take NAME HOME TARGET FILE...`."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train", help="train an assistant's model into a state folder")
    training.add_argument("assistant", type=Path)
    training.add_argument("home", type=Path)
    taking = commands.add_parser("take", help="copy what serving needs of a model in production to another folder")
    taking.add_argument("name")
    taking.add_argument("home", type=Path)
    taking.add_argument("target", type=Path)
    taking.add_argument("files", nargs="+", help="of a library: model.onnx model.onnx.data, or weights.safetensors")
    given = parser.parse_args()
    if given.command == "train":
        train(given.assistant, given.home)
    else:
        version = take(given.home / "models" / given.name, given.target / "models" / given.name, given.files)
        sys.stdout.write(f"The model is {given.name} {version}\n")


def train(assistant: Path, home: Path) -> None:
    """Trains the assistant's model and says how far it is."""
    from services.learning.progress import Progress
    from services.learning.runs.runs import train as train_model

    printed: set[str] = set()

    def report(progress: Progress) -> None:
        news = f"{progress.stage} {progress.detail}".strip()
        if news not in printed:
            printed.add(news)
            sys.stdout.write(f"{news}\n")
            sys.stdout.flush()

    train_model(assistant, home, report)


def take(models: Path, target: Path, files: Sequence[str]) -> str:
    """Copies the version in production, readable by every user, and says which one it is."""
    try:
        version = (models / PRODUCTION).read_text(encoding="utf-8").strip()
    except OSError:
        raise SystemExit(f"There is no model in {models}: train one with `zhiyin train`.") from None
    names = (*ALWAYS, *(name for name in IF_THERE if (models / version / name).exists()), *files)
    folder = target / version
    if (target / PRODUCTION).exists() and {each.name for each in folder.glob("*")} == set(names):
        # A version is never written over; leaving the files alone lets a builder's cache know them again.
        return version
    shutil.rmtree(target, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in names:
        shutil.copyfile(models / version / name, folder / name)
    (target / PRODUCTION).write_text(version + "\n", encoding="utf-8")
    for path in (target, *target.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return version


if __name__ == "__main__":
    main()
