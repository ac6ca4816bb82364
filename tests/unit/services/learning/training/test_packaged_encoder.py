"""The packaged encoder's format, on a tiny container."""

import struct
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer
from transformers import AutoModel

from services.learning.training.packaged_encoder import ContainerError, read_container, write_encoder
from tests.unit.services.learning.containers import HIDDEN, LAYERS, PIECES, POSITIONS, container_bytes


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "encoder.bin"
    path.write_bytes(container_bytes()[0])
    return path


def test_reads_sizes_pieces_rules_and_weights(path: Path) -> None:
    container = read_container(path)
    assert (container.hidden, container.layers, container.heads, container.positions) == (HIDDEN, LAYERS, 2, POSITIONS)
    assert container.pieces == tuple(PIECES)
    assert container.specials == {"bos": 0, "pad": 1, "eos": 2, "unk": 3}
    assert container.normalisation == {0x07: "", 0x200B: " ", 0xFB01: "fi"}
    for name, weights in container_bytes()[1].items():
        np.testing.assert_array_equal(container.tensors[name], weights.reshape(-1))


def test_becomes_an_encoder_that_transformers_loads(path: Path, tmp_path: Path) -> None:
    write_encoder(read_container(path), tmp_path)
    model = AutoModel.from_pretrained(tmp_path, add_pooling_layer=False)
    weights = container_bytes()[1]
    state = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    np.testing.assert_array_equal(state["embeddings.word_embeddings.weight"], weights["emb.word"])
    np.testing.assert_array_equal(state["embeddings.token_type_embeddings.weight"][0], weights["emb.type"][0])
    np.testing.assert_array_equal(state["encoder.layer.0.intermediate.dense.weight"], weights["l0.fi.w"])
    np.testing.assert_array_equal(state["encoder.layer.0.output.LayerNorm.bias"], weights["l0.oln.b"])


def test_its_tokenizer_splits_and_normalises(path: Path, tmp_path: Path) -> None:
    write_encoder(read_container(path), tmp_path)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert tokenizer.encode("a 好").tokens == ["<s>", "▁a", "▁", "好", "</s>"]
    assert tokenizer.encode("  a\u200b\x07ａ\n").tokens == ["<s>", "▁a", "▁a", "</s>"]
    assert tokenizer.encode("ﬁ").tokens == ["<s>", "▁", "fi", "</s>"]
    assert tokenizer.encode("x").ids[2] == 3


@pytest.mark.parametrize("length", [4, 40, 200, 500, 3000])
def test_refuses_a_file_that_is_cut_short(path: Path, length: int) -> None:
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ContainerError, match="damaged container"):
        read_container(path)


def test_refuses_another_format_or_version(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(b"GGUF" + content[4:])
    with pytest.raises(ContainerError, match="not an E5S1 container"):
        read_container(path)
    path.write_bytes(content[:4] + struct.pack("<i", 9) + content[8:])
    with pytest.raises(ContainerError, match="version 9"):
        read_container(path)


def test_refuses_a_tensor_of_an_unknown_type(path: Path) -> None:
    content = path.read_bytes()
    entry = content.index(b"emb.pos") + len("emb.pos")
    path.write_bytes(content[:entry] + b"\x07" + content[entry + 1 :])
    with pytest.raises(ContainerError, match="unknown type 7"):
        read_container(path)
