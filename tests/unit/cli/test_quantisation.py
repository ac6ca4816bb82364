"""`zhiyin quantise`: which version it takes, what it tells, and that what it made is a candidate."""

import json
from pathlib import Path

import pytest

from cli.errors import EnvironmentUnfit, UsageError
from cli.home import Home
from cli.quantisation import quantise
from tests.models import write_model
from tests.unit.services.learning.kinds.understanding.word_for_word import write_assistant, write_trained
from tests.versions import copied


@pytest.fixture
def assistant(tmp_path: Path) -> Path:
    return write_assistant(tmp_path / "assistant")


def test_what_it_made_is_measured_by_every_library_and_a_candidate(
    assistant: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    versions = copied(tmp_path / "home")
    folder = write_trained(assistant, tmp_path / "home", outlier=0.0)
    other = write_model(tmp_path / "home", version="another", production=True)
    quantise(assistant, Home(tmp_path / "home"), version=folder.name, max_drop=0.005, mlflow_uri="", as_json=True)
    told = json.loads(capsys.readouterr().out)
    made = Path(told["path"])
    assert (made.name, made.parent) == (told["version"], folder.parent)
    assert (made / "model.int8.onnx").is_file()
    assert (told["accuracy"], told["reference"], told["utterances"]) == (1.0, 1.0, 8)
    [registered] = versions.tracker.versions("shop")
    assert (registered.version, registered.aliases) == (told["version"], ("candidate",))
    assert (folder.parent / "production").read_text().strip() == other.name, "a person puts it in production"


def test_a_version_that_is_not_there_is_named(assistant: Path, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    with pytest.raises(EnvironmentUnfit, match="no model in production for shop"):
        quantise(assistant, home, version="", max_drop=0.005, mlflow_uri="")
    write_model(home.root)
    with pytest.raises(UsageError, match=r"^There is no version v9 in .*/models/shop\.$"):
        quantise(assistant, home, version="v9", max_drop=0.005, mlflow_uri="")
