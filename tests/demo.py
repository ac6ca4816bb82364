"""The demo assistant's models: the first one, which nearly all tests are content with, and the whole one.

Each is made once for all clones of a user, by way of the user's cache. Where another process makes it, this waits.
"""

import os
import shutil
from pathlib import Path

from services.learning.artifacts.record import FILE, TrainingRecord
from services.learning.kinds.known import KINDS
from services.learning.runs import runs
from services.learning.runs.cache import UserCache, user_cache_folder
from services.learning.runs.shelf import recipe_of
from shared.nlu.manifest import MANIFEST, read_manifest
from tests.stack import PROJECT, PROJECT_HOME
from tests.versions import put_empty_store

__all__ = ["DEMO", "first_model", "put_as_trained", "whole_model"]

DEMO = PROJECT / "assistants" / "shop"


class FirstModels(UserCache):
    """A shelf of its own in the user's cache: beside a whole model, no first one would be made."""

    def __init__(self, user: Path) -> None:
        super().__init__(user / "first")
        self._encoders = user / "encoders"

    @property
    def encoders(self) -> Path:
        return self._encoders


def first_model() -> Path:
    """The folder of the model that a customer has after a minute: the encoder as it came, with heads fitted on it.

    Whether the whole one is there makes no difference.
    """
    user = user_cache_folder(os.environ)
    cache = FirstModels(user) if user is not None else None
    return runs.train(DEMO, PROJECT_HOME.root / "first", lambda _: None, soon=True, cache=cache).path


def whole_model() -> Path:
    """The folder of the model that `zhiyin train` makes."""
    PROJECT_HOME.prepare()
    user = user_cache_folder(os.environ)
    return runs.train(DEMO, PROJECT_HOME.root, lambda _: None, cache=UserCache(user) if user is not None else None).path


def put_as_trained(model: Path, home: Path) -> None:
    """Puts a model of the demo into the state folder `home` so that nothing is left to train there."""
    manifest, record = read_manifest(model), TrainingRecord.read(model)
    recipe = recipe_of(KINDS[manifest.kind].prepare(DEMO))
    version = f"{manifest.created_at:%Y%m%dT%H%M%S}-{recipe[:8]}"
    folder = home / "models" / manifest.name / version
    shutil.copytree(model, folder, copy_function=os.symlink)
    for rewritten in (MANIFEST, FILE):
        (folder / rewritten).unlink()  # A link into the model.
    manifest.model_copy(update={"version": version}).write(folder)
    record.model_copy(update={"recipe": recipe}).write(folder)
    put_empty_store(home)


if __name__ == "__main__":
    first_model()
