"""A training, or a move of the alias in the registry, in a process of its own: `python -m services.learning.runs`.

Standard output has a JSON document a line: `{"progress": …}` now and then, and in the end `{"result": …}`, or
`{"refused": "…"}` where the data, the settings or the model are the reason. Anything else is a failure.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from services.learning.progress import Progress
from services.learning.runs.cache import user_cache
from services.learning.runs.runs import go_live, known_version, train
from services.learning.runs.tracking import TrackingUnavailable
from shared.errors import ConfigurationError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Does what the command line says; 1 where the registry of models does not answer."""
    chosen = _parser().parse_args(arguments)
    try:
        if chosen.what == "point":
            go_live(chosen.name, chosen.home, chosen.version, mlflow_uri=chosen.mlflow_uri)
            _say(result={"version": chosen.version})
        else:
            _train(chosen)
    except TrackingUnavailable as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except ConfigurationError as error:
        # A person reads it who knows the files by their names in the folder.
        _say(refused=_without(str(error), getattr(chosen, "folder", None)))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m services.learning.runs", description="Runs one training.")
    ways = parser.add_subparsers(dest="what", required=True)
    training = ways.add_parser("train")
    training.add_argument("folder", type=Path)
    training.add_argument("--soon", action="store_true")
    training.add_argument("--forced", action="store_true")
    training.add_argument("--known", action="append", default=[])
    pointing = ways.add_parser("point")
    pointing.add_argument("version")
    for each in (training, pointing):
        each.add_argument("--name", required=True)
        each.add_argument("--home", type=Path, required=True)
        each.add_argument("--mlflow-uri", default="")
    return parser


def _train(chosen: argparse.Namespace) -> None:
    made = known_version(chosen.folder, chosen.home, chosen.known, soon=chosen.soon, name=chosen.name)
    if made is None:
        made = train(
            chosen.folder,
            chosen.home,
            lambda progress: _say(progress=_in_words(progress)),
            soon=chosen.soon,
            mlflow_uri=chosen.mlflow_uri,
            cache=user_cache(os.environ),
            name=chosen.name,
            live=False,
        )
    if made.held_back and not chosen.forced:
        _say(refused=f"its model {made.version} is not good enough: {made.held_back}")
    else:
        _say(result={"version": made.version, "preliminary": made.preliminary})


def _in_words(progress: Progress) -> str:
    share = f"{100 * progress.done // progress.total} %" if progress.done and progress.total > 1 else ""
    return ", ".join(part for part in (progress.stage, progress.detail, share) if part)


def _without(words: str, folder: Path | None) -> str:
    return words if folder is None else words.replace(f"{folder}{os.sep}", "")


def _say(**document: Any) -> None:
    sys.stdout.write(f"{json.dumps(document)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
