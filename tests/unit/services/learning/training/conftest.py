"""The tiny assistant, ready to be trained."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from shared.nlu.training_data import load_training_data
from tests.unit.services.learning.conftest import WriteAssistant
from tests.unit.services.learning.training.trainings import Bench


@pytest.fixture
def bench(write_assistant: WriteAssistant, tmp_path: Path) -> Iterator[Bench]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield Bench(load_training_data(write_assistant(tmp_path / "mini")))
    torch.set_num_threads(threads)
