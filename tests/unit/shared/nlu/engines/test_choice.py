"""Which library and precision compute a model is measured, remembered, and never a reason not to start."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from shared.nlu.engines.autotune import Trial, TrialFailed
from shared.nlu.engines.choice import REMEMBERED, fastest
from shared.nlu.engines.openvino_engine import OpenVinoEngine
from shared.nlu.engines.runtime import Integers, Library, Outputs, Precision, Runtime
from shared.nlu.manifest import ModelRejected, read_source
from shared.nlu.model import Model
from tests.models import write_model

PROBES = ((5, 6), (7,))


class Repeating(OpenVinoEngine):
    """Computes each batch so many times, which makes it so much slower."""

    times = 1

    def infer(self, ids: Integers, mask: Integers) -> Outputs:
        for _ in range(self.times - 1):
            super().infer(ids, mask)
        return super().infer(ids, mask)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_model(tmp_path)


def opened(folder: Path, times: int = 1, library: Library = "openvino") -> Runtime:
    source = read_source(folder)
    engine = Repeating(source, streams=1)
    engine.times, engine.backend, engine.lower = times, library, ()
    return Runtime(engine, source.manifest, precision="f32", padding_id=1, probes=PROBES)


def tried(folder: Path, times: int) -> Trial:
    return Trial(precision="f32", texts_per_second=opened(folder, times).measure())


@pytest.mark.parametrize(("ours", "theirs", "winner"), [(1, 40, "openvino"), (40, 1, "onnxruntime")])
def test_the_library_that_computes_more_is_taken(folder: Path, ours: int, theirs: int, winner: Library) -> None:
    work: dict[Library, int] = {"openvino": ours, "onnxruntime": theirs}
    runtime, speeds = fastest(
        ("openvino", "onnxruntime"),
        open_here=lambda library, precision: opened(folder, work[library], library),
        precision="auto",
        hold_trial=lambda library: tried(folder, work[library]),
    )
    assert runtime.backend == winner
    assert speeds.keys() == {"openvino f32", "onnxruntime f32"}


def failing(library: Library) -> Trial:
    raise TrialFailed("it crashed")


def test_a_library_that_cannot_be_tried_is_left_out(folder: Path) -> None:
    with capture_logs() as logs:
        runtime, speeds = fastest(
            ("openvino", "onnxruntime"),
            open_here=lambda library, precision: opened(folder, library=library),
            precision="auto",
            hold_trial=failing,
        )
    assert (runtime.backend, speeds) == ("openvino", {})
    assert [(each["event"], each["backend"], each["reason"]) for each in logs] == [
        ("backend_left_out", "onnxruntime", "it crashed")
    ]


def refusing(other: Callable[[], Runtime]) -> Callable[[Library, Precision], Runtime]:
    def open_here(library: Library, precision: Precision) -> Runtime:
        if library == "openvino":
            raise ModelRejected("not for me")
        return other()

    return open_here


def test_a_rival_serves_what_the_first_library_refuses(folder: Path) -> None:
    runtime, _speeds = fastest(
        ("openvino", "onnxruntime"),
        open_here=refusing(lambda: opened(folder, library="onnxruntime")),
        precision="auto",
        hold_trial=lambda library: tried(folder, 1),
    )
    assert runtime.backend == "onnxruntime"
    with pytest.raises(ModelRejected, match="not for me"):
        fastest(
            ("openvino", "onnxruntime"),
            open_here=refusing(lambda: opened(folder)),
            precision="auto",
            hold_trial=failing,
        )


def load(folder: Path) -> tuple[Model, list[str]]:
    """The model, and what was logged while it was loaded."""
    with capture_logs() as logs:
        model = Model.load(folder, streams=1, backend="auto")
    return model, [each["event"] for each in logs]


def test_a_choice_is_remembered(folder: Path) -> None:
    first, _logs = load(folder)
    remembered = json.loads((folder.parent / REMEMBERED).read_text())
    assert (remembered["library"], remembered["precision"]) == (first.backend, first.precision)
    again, logs = load(folder)
    assert (again.backend, again.precision) == (first.backend, first.precision)
    assert logs == ["backend_remembered"]


def test_a_remembered_choice_is_obeyed_for_its_own_version_only(folder: Path) -> None:
    load(folder)
    path = folder.parent / REMEMBERED
    remembered = json.loads(path.read_text())
    path.write_text(json.dumps(remembered | {"library": "onnxruntime", "precision": "f32"}))
    model, logs = load(folder)
    assert (model.backend, model.precision, logs) == ("onnxruntime", "f32", ["backend_remembered"])
    path.write_text(json.dumps(remembered | {"library": "onnxruntime", "digest": "another version"}))
    model, logs = load(folder)
    assert (model.backend, logs) == ("onnxruntime", ["backend_chosen"])
    assert json.loads(path.read_text())["digest"] == model.digest


@pytest.mark.parametrize("content", ["{", None])
def test_what_cannot_be_read_or_is_of_another_machine_is_measured_again(folder: Path, content: str | None) -> None:
    load(folder)
    path = folder.parent / REMEMBERED
    good = json.loads(path.read_text())
    path.write_text(json.dumps(good | {"key": "of another machine"}) if content is None else content)
    assert load(folder)[1][-1] == "backend_chosen"
    assert json.loads(path.read_text())["key"] == good["key"]


def test_a_folder_that_cannot_be_written_to_is_no_hindrance(folder: Path) -> None:
    (folder.parent / REMEMBERED).mkdir()
    model, logs = load(folder)
    assert logs[-2:] == ["backend_chosen", "choice_not_remembered"]
    assert model.understand(["hello"])[0].intent.name == "greet"
