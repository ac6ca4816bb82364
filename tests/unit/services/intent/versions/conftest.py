"""Versions of a table behind queues: as a model of texts, and made in a moment."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from services.intent.batching.queue import BatchQueue
from services.intent.limits import BatchPolicy
from services.intent.versions.live import LiveModel
from shared.nlu.golden_set import Reference
from shared.nlu.manifest import Manifest, read_source
from tests.nearest.served import CENTROIDS, NearestKind, NearestModel, write_nearest

MakeLive = Callable[..., LiveModel]


@pytest.fixture
def make_live(tmp_path: Path) -> Iterator[MakeLive]:
    """Makes a version that serves: its name, the centroids of its table, and the kind of its model."""
    made: list[LiveModel] = []

    def make(
        version: str,
        *,
        centroids: Any = CENTROIDS,
        model: type[NearestModel] = NearestModel,
        reference: Reference | None = None,
    ) -> LiveModel:
        source = read_source(write_nearest(tmp_path, version, centroids=centroids), Manifest)
        queue = BatchQueue[Any, Any](model(NearestKind(), source), BatchPolicy())
        made.append(LiveModel(queue, size=100, reference=reference))
        return made[-1]

    yield make
    for each in made:
        if hasattr(each, "queue"):
            each.queue.close()
