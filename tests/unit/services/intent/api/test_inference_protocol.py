import json
from collections.abc import Mapping
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.models import INTENTS

INFER = "/v2/models/shop/infer"
HEADER_LENGTH = "Inference-Header-Content-Length"


def tensor(**changes: Any) -> dict[str, Any]:
    return {"name": "text", "shape": [2], "datatype": "BYTES", "data": ["hello", "退款"], **changes}


def outputs(answer: Any) -> dict[str, Any]:
    return {each["name"]: each for each in answer.json()["outputs"]}


def binary_body(request: dict[str, Any], *elements: bytes) -> tuple[bytes, dict[str, str]]:
    head = json.dumps(request).encode()
    return head + b"".join(elements), {HEADER_LENGTH: str(len(head))}


def element(text: bytes) -> bytes:
    return len(text).to_bytes(4, "little") + text


def test_says_what_the_server_and_its_models_are(client: TestClient, service: Mapping[str, str]) -> None:
    assert client.get("/v2", headers=service).json()["extensions"] == ["binary_tensor_data"]
    assert client.get("/v2/", headers=service).json() == client.get("/v2", headers=service).json()
    metadata = client.get("/v2/models/shop", headers=service).json()
    assert metadata["inputs"] == [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
    shapes = {each["name"]: (each["datatype"], each["shape"]) for each in metadata["outputs"]}
    assert shapes["probabilities"] == ("FP32", [-1, len(INTENTS)])
    [version] = metadata["versions"]
    assert client.get(f"/v2/models/shop/versions/{version}", headers=service).json() == metadata
    assert client.get("/v2/models/shop/versions/other", headers=service).status_code == 404


def test_all_outputs_are_as_the_metadata_say(client: TestClient, service: Mapping[str, str]) -> None:
    metadata = client.get("/v2/models/shop", headers=service).json()
    answer = client.post(INFER, json={"id": "7", "inputs": [tensor()]}, headers=service)
    assert (answer.status_code, answer.json()["id"]) == (200, "7")
    found = outputs(answer)
    assert list(found) == [each["name"] for each in metadata["outputs"]]
    for each in metadata["outputs"]:
        output = found[each["name"]]
        assert output["datatype"] == each["datatype"]
        assert output["shape"] == [2, *each["shape"][1:]]
        width = each["shape"][1] if len(each["shape"]) == 2 else 1
        assert len(output["data"]) == 2 * width


def test_only_what_is_asked_for_is_answered_in_its_order(client: TestClient, service: Mapping[str, str]) -> None:
    wanted = [{"name": "embedding"}, {"name": "intent"}]
    answer = client.post(INFER, json={"inputs": [tensor()], "outputs": wanted}, headers=service)
    assert list(outputs(answer)) == ["embedding", "intent"]


@pytest.mark.parametrize("data", [["hello", "退款"], [["hello"], ["退款"]]])
def test_a_column_of_texts_may_be_flat_or_nested(
    client: TestClient, service: Mapping[str, str], data: list[Any]
) -> None:
    answer = client.post(INFER, json={"inputs": [tensor(shape=[2, 1], data=data)]}, headers=service)
    assert outputs(answer)["intent"]["data"] == ["greet", "refund"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "inputs"),
        ({"inputs": []}, "inputs"),
        ({"inputs": [tensor(name="picture")]}, "inputs.0.name"),
        ({"inputs": [tensor(), tensor()]}, "inputs.1.name"),
        ({"inputs": [tensor(datatype="FP32")]}, "inputs.0.datatype"),
        ({"inputs": [tensor(shape=[3])]}, "inputs.0.data"),
        ({"inputs": [tensor(shape=[2, 2])]}, "inputs.0.shape"),
        ({"inputs": [tensor(shape=[2, 1, 1])]}, "inputs.0.shape"),
        ({"inputs": [tensor(shape=[])]}, "inputs.0.shape"),
        ({"inputs": [tensor(shape=[0], data=[])]}, "inputs.0.shape"),
        ({"inputs": [tensor(shape=[-2])]}, "inputs.0.shape.0"),
        ({"inputs": [tensor(shape=[2.0])]}, "inputs.0.shape.0"),
        ({"inputs": [tensor(shape=[10**30])]}, "inputs.0.shape"),
        ({"inputs": [tensor(shape=[65], data=["x"] * 65)]}, "inputs.0.data"),
        ({"inputs": [tensor(data=["x", 3])]}, "inputs.0.data.1"),
        ({"inputs": [tensor(data=["x", None])]}, "inputs.0.data.1"),
        ({"inputs": [tensor(data=["x", " "])]}, "inputs.0.data.1"),
        ({"inputs": [tensor(data=["x", ["y"]])]}, "inputs.0.data.1"),
        ({"inputs": [tensor(data="xy")]}, "inputs.0.data"),
        ({"inputs": [tensor(data=None)]}, "inputs.0.data"),
        ({"inputs": [tensor(parameters={"shared_memory_region": "x"})]}, "inputs.0.parameters"),
        ({"inputs": [tensor(parameters={"binary_data_size": 5})]}, "inputs.0.data"),
        ({"inputs": [tensor()], "outputs": [{"name": "picture"}]}, "outputs.0.name"),
        ({"inputs": [tensor()], "outputs": [{"name": "intent"}] * 2}, "outputs.1.name"),
        ({"inputs": [tensor()], "outputs": [{"name": "intent", "parameters": {"classification": 2}}]},
         "outputs.0.parameters"),
        ({"inputs": [tensor()], "parameters": {"timeout": -1}}, "parameters.timeout"),
        ({"inputs": [tensor()], "parameters": {"timeout": "x"}}, "parameters.timeout"),
        ({"inputs": [tensor()], "id": 7}, "id"),
    ],
)  # fmt: skip
def test_bad_tensors_are_refused_and_the_field_named(
    client: TestClient, service: Mapping[str, str], body: Any, field: str
) -> None:
    answer = client.post(INFER, json=body, headers=service)
    assert answer.status_code == 422
    problem = answer.json()
    assert [each["field"] for each in problem["errors"]] == [field]
    assert problem["error"] == problem["detail"]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]]", b"\xff", b'{"inputs": ' + b"[" * 100_000, rb'{"id": "\ud800"}', b'{"inputs": NaN'],
    ids=["empty", "cut", "too much", "no text", "nested", "half a character", "no number"],
)
def test_what_is_no_json_is_refused(client: TestClient, service: Mapping[str, str], body: bytes) -> None:
    answer = client.post(INFER, content=body, headers=service)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_binary_texts_are_read(client: TestClient, service: Mapping[str, str]) -> None:
    raw = element("退款".encode()) + element(b"hello")
    described = tensor(parameters={"binary_data_size": len(raw)})
    del described["data"]
    body, headers = binary_body({"inputs": [described], "outputs": [{"name": "intent"}]}, raw)
    answer = client.post(INFER, content=body, headers={**service, **headers})
    assert outputs(answer)["intent"]["data"] == ["refund", "greet"]


@pytest.mark.parametrize(
    ("raw", "size"),
    [
        (element(b"hello"), 9),
        (element(b"hello") * 3, 27),
        (element(b"hello") + b"\xff\xff\xff\xff", 13),
        (element(b"hello") + element(b"\xff"), 14),
        (element(b"hello") * 2, 17),
        (element(b"hello") * 2, 19),
        (element(b"hello") * 2, 2**60),
        (element(b"hello") * 2, -18),
        (element(b"hello") * 2, True),
        (element(b"hello") * 2, "18"),
    ],
)
def test_broken_binary_texts_are_refused(client: TestClient, service: Mapping[str, str], raw: bytes, size: Any) -> None:
    described = tensor(parameters={"binary_data_size": size})
    del described["data"]
    body, headers = binary_body({"inputs": [described]}, raw)
    answer = client.post(INFER, content=body, headers={**service, **headers})
    assert answer.status_code in (400, 422)
    assert answer.json()["error"]


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "9" * 5000, "100000", "٣", ""])
def test_a_header_length_that_cannot_be_is_refused(client: TestClient, service: Mapping[str, str], length: str) -> None:
    headers = [*((name.encode(), value.encode()) for name, value in service.items())]
    headers.append((HEADER_LENGTH.encode(), length.encode()))
    answer = client.post(INFER, content=json.dumps({"inputs": [tensor()]}), headers=headers)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == HEADER_LENGTH


def test_binary_data_that_belongs_to_nothing_is_refused(client: TestClient, service: Mapping[str, str]) -> None:
    body, headers = binary_body({"inputs": [tensor()]}, b"more")
    assert client.post(INFER, content=body, headers={**service, **headers}).status_code == 400


def test_a_compressed_body_is_refused(client: TestClient, service: Mapping[str, str]) -> None:
    headers = {**service, "Content-Encoding": "gzip"}
    assert client.post(INFER, json={"inputs": [tensor()]}, headers=headers).status_code == 415


def test_a_timeout_of_its_own_comes_before_the_deadline(client: TestClient, service: Mapping[str, str]) -> None:
    body = {"inputs": [tensor(data=["退款 hello", "a b c"])], "parameters": {"timeout": 1e-3}}
    assert client.post(INFER, json=body, headers=service).status_code == 504


def test_every_refusal_says_error(client: TestClient, service: Mapping[str, str]) -> None:
    refusals = [
        client.get("/v2"),
        client.get("/v2/models/bank", headers=service),
        client.get("/v2/repository/index", headers=service),
        client.delete(INFER, headers=service),
        client.post(INFER, content=b" " * 1_000_001, headers=service),
        client.post(INFER, content=(b" " * 500_001 for _ in range(2)), headers=service),
    ]
    assert [each.status_code for each in refusals] == [401, 404, 404, 405, 413, 413]
    for each in refusals:
        assert each.json()["error"] == each.json()["detail"]
        assert each.headers["content-type"] == "application/problem+json"
