"""The Open Inference Protocol as Triton's own client speaks it, to a process of its own."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from tests.calls import calling
from tests.integration.services.intent.processes import TOKENS, login, ready, running
from tests.models import INTENTS, write_model
from tests.servers import free_port

HEADERS = TOKENS.headers("dialogue", roles=(), scopes={"intent:predict"})
TEXTS = ["hello", "退款，订单20261103001", "where is my parcel"]
CHOSEN = ["greet", "refund", "track_order"]


@pytest.fixture(scope="module")
async def address(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    home = tmp_path_factory.mktemp("home")
    write_model(home)
    port = free_port()
    async with login() as keys, running(home, port, keys), calling(f"http://127.0.0.1:{port}") as calls:
        await ready(calls)
        # The keys are read before the tests, which do not let the loop turn that serves them.
        assert (await calls.get("/v1/models", headers=HEADERS)).status == 200
        yield f"127.0.0.1:{port}"


@pytest.fixture
def client(address: str) -> Iterator[Any]:
    with triton.InferenceServerClient(address) as client:
        yield client


def texts_of(values: Any, *, binary: bool = True, datatype: str = "BYTES", name: str = "text") -> Any:
    array = np.array(values) if datatype != "BYTES" else np.array(values, dtype=np.object_)
    tensor = triton.InferInput(name, list(array.shape), datatype)
    return tensor.set_data_from_numpy(array, binary_data=binary)


def infer(client: Any, values: Any, **options: Any) -> Any:
    sent = options.pop("input", None) or texts_of(values)
    return client.infer("shop", [sent], headers=dict(HEADERS), **options)


def decoded(array: Any) -> list[str]:
    return [each.decode() if isinstance(each, bytes) else each for each in array.ravel()]


def test_health_needs_no_token_and_models_do(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("shop", headers=HEADERS)
    assert not client.is_model_ready("shop")
    assert not client.is_model_ready("bank", headers=HEADERS)
    assert not client.is_model_ready("shop", "no-such-version", headers=HEADERS)


def test_metadata(client: Any) -> None:
    assert client.get_server_metadata(headers=HEADERS)["name"] == "zhiyin"
    metadata = client.get_model_metadata("shop", headers=HEADERS)
    assert metadata["inputs"] == [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
    [version] = metadata["versions"]
    assert client.get_model_metadata("shop", version, headers=HEADERS) == metadata
    assert client.is_model_ready("shop", version, headers=HEADERS)


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
def test_tensors_go_both_ways_in_both_forms(client: Any, binary_in: bool, binary_out: bool) -> None:
    names = [each["name"] for each in client.get_model_metadata("shop", headers=HEADERS)["outputs"]]
    found = infer(
        client,
        None,
        input=texts_of(TEXTS, binary=binary_in),
        outputs=[triton.InferRequestedOutput(name, binary_data=binary_out) for name in names],
        request_id="call-1",
    )
    assert found.get_response()["id"] == "call-1"
    assert decoded(found.as_numpy("intent")) == CHOSEN
    probabilities = found.as_numpy("probabilities")
    assert (probabilities.shape, probabilities.dtype) == ((3, len(INTENTS)), np.float32)
    assert np.allclose(probabilities.max(axis=1), found.as_numpy("intent_confidence"))
    assert [INTENTS[number] for number in probabilities.argmax(axis=1)] == CHOSEN
    assert np.allclose(np.linalg.norm(found.as_numpy("embedding"), axis=1), 1)
    assert found.as_numpy("out_of_scope").tolist() == [False] * 3
    [entity] = json.loads(decoded(found.as_numpy("entities"))[1])
    assert entity["value"] == "20261103001"
    assert (found.get_output("intent").get("data") is None) == binary_out


def test_without_named_outputs_all_are_answered(client: Any) -> None:
    found = infer(client, TEXTS)
    names = [each["name"] for each in found.get_response()["outputs"]]
    assert names == [each["name"] for each in client.get_model_metadata("shop", headers=HEADERS)["outputs"]]
    assert all(found.as_numpy(name) is not None for name in names)


def test_a_column_and_a_version(client: Any) -> None:
    [version] = client.get_model_metadata("shop", headers=HEADERS)["versions"]
    found = infer(client, [[text] for text in TEXTS], model_version=version)
    assert decoded(found.as_numpy("intent")) == CHOSEN
    assert found.get_response()["model_version"] == version


def test_a_batch_of_the_largest_size_and_one_beyond(client: Any) -> None:
    assert infer(client, TEXTS[:1] * 64).as_numpy("intent").shape == (64,)
    with pytest.raises(InferenceServerException, match="1 to 64 texts"):
        infer(client, TEXTS[:1] * 65)


def test_many_at_once(address: str) -> None:
    with triton.InferenceServerClient(address, concurrency=16) as client:
        asked = [
            client.async_infer("shop", [texts_of([TEXTS[number % 3]])], headers=dict(HEADERS)) for number in range(64)
        ]
        answers = [decoded(each.get_result().as_numpy("intent")) for each in asked]
    assert answers == [[CHOSEN[number % 3]] for number in range(64)]


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        ({"datatype": "FP64", "values": [1.0, 2.0]}, "should be BYTES"),
        ({"datatype": "INT64", "values": [1, 2]}, "should be BYTES"),
        ({"name": "picture"}, "no input 'picture'"),
        ({"values": [["a", "b"]]}, r"the shape should be \[n\]"),
        ({"values": ["a", " "]}, "pattern"),
        ({"values": ["x" * 2001]}, "2000"),
    ],
)
@pytest.mark.parametrize("binary", [True, False])
def test_what_is_wrong_with_an_input_is_reported(client: Any, sent: dict[str, Any], message: str, binary: bool) -> None:
    with pytest.raises(InferenceServerException, match=message) as refused:
        infer(client, None, input=texts_of(**{"values": TEXTS, **sent}, binary=binary))
    assert refused.value.status() in ("400", "422")


def test_bytes_that_are_no_text_are_refused(client: Any) -> None:
    with pytest.raises(InferenceServerException, match="not UTF-8"):
        infer(client, [b"\xff\xfe"])


def test_other_errors_are_reported(client: Any) -> None:
    with pytest.raises(InferenceServerException, match="access token") as refused:
        client.infer("shop", [texts_of(TEXTS)])
    assert refused.value.status() == "401"
    with pytest.raises(InferenceServerException, match="no model 'bank'"):
        client.infer("bank", [texts_of(TEXTS)], headers=dict(HEADERS))
    with pytest.raises(InferenceServerException, match="no output 'picture'"):
        infer(client, TEXTS, outputs=[triton.InferRequestedOutput("picture")])
    with pytest.raises(InferenceServerException, match="Not Found") as unknown:
        client.get_model_repository_index(headers=HEADERS)
    assert unknown.value.status() == "404"
    with pytest.raises(InferenceServerException, match="encoding 'gzip'"):
        infer(client, TEXTS, request_compression_algorithm="gzip")
    with pytest.raises(InferenceServerException, match="bytes at most") as large:
        infer(client, ["x" * 1_000_000])
    assert large.value.status() == "413"


def test_a_cut_body_is_refused_and_the_next_is_answered(client: Any) -> None:
    body, head = triton.InferenceServerClient.generate_request_body([texts_of(TEXTS)])
    headers = {**HEADERS, "Inference-Header-Content-Length": str(head)}
    for cut in (1, 5, len(body) - head - 2, len(body) - head):
        answer = client._post("v2/models/shop/infer", body[:-cut], headers, None)
        assert answer.status_code == 400
        answer.read()
    assert decoded(infer(client, TEXTS).as_numpy("intent")) == CHOSEN
