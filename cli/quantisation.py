"""8-bit forms of models on the command line."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from cli.console import err, out, write_json
from cli.errors import UsageError
from cli.home import Home
from cli.progress import shown_progress
from cli.training import production_model
from services.learning.artifacts.record import TrainingRecord
from services.learning.kinds.understanding.quantisation import Understand
from services.learning.kinds.understanding.quantisation import quantise as quantise_model
from services.learning.runs.tracking import Tracker
from shared.nlu.engines.runtime import Library
from shared.nlu.manifest import read_manifest
from shared.nlu.model import Model

__all__ = ["quantise"]

FREE_MEGABYTES = 2_000


def quantise(
    assistant: Path, home: Home, *, version: str, max_drop: float, mlflow_uri: str, as_json: bool = False
) -> None:
    """Quantises a version, by default the one in production, and registers what comes out as a version of its own."""
    folder = production_model(assistant, home)
    if version:
        folder = folder.parent / version
        if not folder.is_dir():
            raise UsageError(f"There is no version {version} in {folder.parent}.")
    # PyTorch serves no 8-bit form.
    libraries = [each for each in get_args(Library) if each != "torch" and importlib.util.find_spec(each) is not None]
    with shown_progress(err, lambda: home.prepare(free_megabytes=FREE_MEGABYTES)) as report:
        made = quantise_model(
            assistant,
            folder,
            engines={name: _served_by(name) for name in libraries},
            progress=report,
            max_drop=max_drop,
        )
    Tracker(home.root, mlflow_uri).register(made.path, read_manifest(made.path), TrainingRecord.read(made.path))
    gate = made.quantised
    if as_json:
        write_json({"version": made.version, "path": str(made.path), **gate.model_dump()})
        return
    err.print(f"[green]✓[/] Version {made.version} has an 8-bit form.")
    out.print(
        f"It understands {gate.accuracy:.2%} of {gate.utterances} validation utterances ({gate.engine}), "
        f"without it {gate.reference:.2%}. `zhiyin promote {assistant.name} {made.version}` puts it in production.",
        soft_wrap=True,
    )


def _served_by(library: Library) -> Understand:
    def understand(folder: Path, texts: Sequence[str]) -> list[str]:
        model = Model.load(folder, backend=library, precision="f32")
        return [each.intent.name for each in model.understand(texts)]

    return understand
