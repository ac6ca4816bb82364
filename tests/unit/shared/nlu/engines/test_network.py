"""Which networks fit a manifest, and which files of a folder they are in."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from shared.nlu.engines.network import INPUTS, OUTPUTS, check_network, lower_precisions, network_file, network_path
from shared.nlu.manifest import ModelRejected, read_source
from shared.nlu.model import Model
from tests.models import INTENTS, SENTIMENTS, TAGS, replace_file, write_model

FITTING: Mapping[str, Sequence[int | None]] = {
    "intent_logits": (None, len(INTENTS)),
    "tag_logits": (None, None, len(TAGS)),
    "sentiment_logits": (None, len(SENTIMENTS)),
    "text_embedding": (None, 32),
}


def test_a_network_may_leave_open_how_many_labels_it_has_and_have_more_outputs(tmp_path: Path) -> None:
    manifest = read_source(write_model(tmp_path)).manifest
    check_network(manifest, INPUTS, FITTING)
    check_network(manifest, (*INPUTS, "more"), {**FITTING, "intent_logits": (None, None), "more": ()})


@pytest.mark.parametrize(
    ("inputs", "outputs", "why"),
    [
        (INPUTS[:1], FITTING, "needs the inputs input_ids, attention_mask"),
        (INPUTS, {name: FITTING[name] for name in OUTPUTS[1:]}, "and the outputs intent_logits"),
        (INPUTS, {**FITTING, "intent_logits": (None, 5)}, "intent_logits does not have the 4 labels of the manifest"),
        (INPUTS, {**FITTING, "tag_logits": (None, len(TAGS))}, "tag_logits does not have the 5 labels"),
        (INPUTS, {**FITTING, "tag_logits": (None, None, 4)}, "tag_logits does not have the 5 labels"),
        (INPUTS, {**FITTING, "sentiment_logits": (None, 2)}, "sentiment_logits does not have the 3 labels"),
        (INPUTS, {**FITTING, "text_embedding": (None, None, 32)}, "text_embedding does not have the 2 dimensions"),
    ],
)
def test_a_network_that_does_not_fit_its_manifest_is_refused(
    tmp_path: Path, inputs: Sequence[str], outputs: Mapping[str, Sequence[int | None]], why: str
) -> None:
    with pytest.raises(ModelRejected, match=why):
        check_network(read_source(write_model(tmp_path)).manifest, inputs, outputs)


def test_a_network_without_an_output_is_not_served(tmp_path: Path) -> None:
    folder = write_model(tmp_path)
    network = onnx.load_from_string((folder / "model.onnx").read_bytes())
    del network.graph.output[0]
    replace_file(folder, "model.onnx", network.SerializeToString())
    with pytest.raises(ModelRejected, match="needs the inputs"):
        Model.load(folder, streams=1)


def test_eight_bits_are_tried_where_the_folder_has_them(tmp_path: Path) -> None:
    plain = read_source(write_model(tmp_path))
    assert lower_precisions(plain, "bf16") == ("bf16",)
    manifest = plain.manifest.model_copy(update={"files": {**plain.manifest.files, "model.int8.onnx": "0" * 64}})
    quantised = replace(plain, manifest=manifest)
    assert lower_precisions(quantised, "bf16") == ("bf16",), "a copy may leave it out"
    (plain.folder / "model.int8.onnx").touch()
    assert lower_precisions(quantised, "bf16") == ("bf16", "int8")


def test_only_eight_bits_have_a_file_of_their_own() -> None:
    assert (network_file("int8"), network_file("f32"), network_file("bf16")) == (
        "model.int8.onnx",
        "model.onnx",
        "model.onnx",
    )


def test_a_network_whose_weights_are_missing_is_refused(folder: Path) -> None:
    source = read_source(folder)
    assert network_path(source, "model.onnx") == folder / "model.onnx"
    (folder / "model.onnx.data").unlink()
    with pytest.raises(ModelRejected, match=r"model\.onnx\.data"):
        network_path(source, "model.onnx")
