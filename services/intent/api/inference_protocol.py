"""The Open Inference Protocol v2, so that clients of KServe and Triton can ask: `/v2/…`.

It reaches models that understand texts. They have one input, `text`, and an output for each thing that they say.
Tensors are JSON or binary, both ways.
"""

import asyncio
import math
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import StringConstraints, TypeAdapter, ValidationError

from services.intent.api.access import AUTHORISED, Deadline, ModelName, Models, TenantModels, unless_gone
from services.intent.api.inference_messages import (
    INFERENCE_REQUEST,
    HealthLive,
    HealthReady,
    InferenceRequest,
    InferenceResponse,
    InputTensor,
    ModelMetadata,
    ModelReady,
    OutputTensor,
    ServerMetadata,
    TensorMetadata,
)
from services.intent.api.inference_outputs import OUTPUTS
from services.intent.api.tensors import TensorError, bytes_elements, row_major
from services.intent.kinds.understanding.served import UnderstandingModel, understanding_of
from shared.contracts.understanding import MAX_TEXTS, Text
from shared.errors import InvalidInput, Malformed, Unavailable, responses
from shared.http.service import VERSION, ServiceContext
from shared.nlu.answers import Answer, Task

__all__ = ["router"]

INPUT = "text"
HEADER_LENGTH = "Inference-Header-Content-Length"
MAX_DIGITS = 12
OCTETS = "application/octet-stream"
FORMATS = {"torch": "pytorch_safetensors", "openvino": "openvino_onnx", "onnxruntime": "onnxruntime_onnx"}
"""What computes a model and what it is stored as, as the protocol names platforms."""

health = APIRouter(prefix="/v2/health")
protocol = APIRouter(prefix="/v2", dependencies=[AUTHORISED])

Version = Annotated[str, StringConstraints(min_length=1, max_length=64)]

_text = TypeAdapter[str](Text)


@health.get("/live", responses=responses(503))
async def live(request: Request) -> HealthLive:
    """Whether this process works."""
    if stalled := _context(request).health.stalled():
        raise Unavailable(f"stalled: {', '.join(sorted(stalled))}")
    return HealthLive(live=True)


@health.get("/ready", responses=responses(503))
async def ready(request: Request) -> HealthReady:
    """Whether this process and its models can take requests."""
    if problems := await _context(request).health.problems():
        raise Unavailable("; ".join(f"{name}: {why}" for name, why in sorted(problems.items())), retry_after=1)
    return HealthReady(ready=True)


@protocol.get("/", include_in_schema=False)
@protocol.get("")
async def server_metadata() -> ServerMetadata:
    """What this server is."""
    return ServerMetadata(name="zhiyin", version=VERSION, extensions=["binary_tensor_data"])


@protocol.get("/models/{model}", responses=responses(404))
async def model_metadata(models: Models, model: ModelName) -> ModelMetadata:
    """A model's input and outputs."""
    return await _metadata(models, model, None)


@protocol.get("/models/{model}/versions/{version}", responses=responses(404))
async def version_metadata(models: Models, model: ModelName, version: Version) -> ModelMetadata:
    """The input and outputs of a model's version."""
    return await _metadata(models, model, version)


async def _metadata(models: TenantModels, model: str, version: str | None) -> ModelMetadata:
    async with models.use(model, version=version) as lease:
        served = understanding_of(lease.model)
    manifest = served.manifest
    return ModelMetadata(
        name=manifest.name,
        versions=[manifest.version],
        platform=FORMATS.get(served.backend, served.backend),
        inputs=[TensorMetadata(name=INPUT, datatype="BYTES", shape=[-1])],
        outputs=[
            TensorMetadata(name=name, datatype=output.datatype, shape=output.shape(served))
            for name, output in OUTPUTS.items()
        ],
    )


@protocol.get("/models/{model}/ready", responses=responses(404))
async def model_ready(models: Models, model: ModelName) -> ModelReady:
    """Whether a model can take requests."""
    return await _ready(models, model, None)


@protocol.get("/models/{model}/versions/{version}/ready", responses=responses(404))
async def version_ready(models: Models, model: ModelName, version: Version) -> ModelReady:
    """Whether a model's version can take requests."""
    return await _ready(models, model, version)


async def _ready(models: TenantModels, model: str, version: str | None) -> ModelReady:
    async with models.use(model, version=version) as served:
        return ModelReady(name=served.model.manifest.name, ready=True)


_infer: dict[str, Any] = {
    "response_class": Response,
    "responses": {
        200: {
            "description": "JSON, or JSON of the length in the header with the binary tensors behind it",
            "model": InferenceResponse,
            "content": {OCTETS: {"schema": {"type": "string", "format": "binary"}}},
        },
        **responses(404, 415, 429, 504),
    },
    "openapi_extra": {
        "parameters": [
            {
                "name": HEADER_LENGTH,
                "in": "header",
                "required": False,
                "description": "the length of the JSON, where binary tensors come behind it",
                "schema": {"type": "integer", "minimum": 0},
            }
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": INFERENCE_REQUEST},
                OCTETS: {"schema": {"type": "string", "format": "binary"}},
            },
        },
    },
}


@protocol.post("/models/{model}/infer", **_infer)
async def infer(request: Request, models: Models, deadline: Deadline, model: ModelName) -> Response:
    """What a model says of up to 64 texts: the tensor `text` of type BYTES, one text in each row."""
    return await _answer(request, models, deadline, model, None)


@protocol.post("/models/{model}/versions/{version}/infer", **_infer)
async def infer_by_version(
    request: Request, models: Models, deadline: Deadline, model: ModelName, version: Version
) -> Response:
    """What a model's version says of up to 64 texts, as above."""
    return await _answer(request, models, deadline, model, version)


async def _answer(request: Request, models: TenantModels, deadline: float, model: str, version: str | None) -> Response:
    asked, binary = _read(request, await request.body())
    texts = _texts(asked.inputs, binary)
    names = _requested(asked)
    deadline = _sooner(deadline, asked)
    task: Task = "understand" if any(OUTPUTS[name].task == "understand" for name in names) else "embed"
    async with models.use(model, key=models.caller, version=version) as served:
        understanding = understanding_of(served.model)
        answers = await unless_gone(request, served.submit(understanding.ask(texts, task), deadline=deadline))
        return _response(asked, names, understanding, answers)


router = APIRouter(tags=["open inference protocol"])
router.include_router(health)
router.include_router(protocol)


def _context(request: Request) -> ServiceContext:
    context: ServiceContext = request.app.state.context
    return context


def _read(request: Request, body: bytes) -> tuple[InferenceRequest, bytes]:
    """The request and the binary data behind it."""
    length = len(body)
    if (size := request.headers.get(HEADER_LENGTH)) is not None:
        if not (size.isascii() and size.isdecimal() and len(size) <= MAX_DIGITS and int(size) <= len(body)):
            raise Malformed(f"{HEADER_LENGTH} must be a number of bytes that the body has", field=HEADER_LENGTH)
        length = int(size)
    try:
        return InferenceRequest.model_validate_json(body[:length]), body[length:]
    except ValidationError as error:
        told_at = [{**each, "loc": ("body", *each["loc"])} for each in error.errors(include_url=False)]
        raise RequestValidationError(told_at) from error


def _texts(inputs: Sequence[InputTensor], binary: bytes) -> list[str]:
    """The texts of the only input.

    Raises:
        InvalidInput: there are others, or its type, shape or data are not as they should be.
        Malformed: the binary data is longer or shorter than it is said to be.
    """
    for place, each in enumerate(inputs):
        if each.name != INPUT:
            raise InvalidInput(f"there is no input {each.name!r}, only {INPUT!r}", field=f"inputs.{place}.name")
    if len(inputs) > 1:
        raise InvalidInput(f"the input {INPUT!r} is there twice", field="inputs.1.name")
    [tensor] = inputs
    if tensor.datatype != "BYTES":
        raise InvalidInput(f"the datatype is {tensor.datatype!r} and should be BYTES", field="inputs.0.datatype")
    if tensor.shape[1:] not in ([], [1]):
        raise InvalidInput("the shape should be [n] or [n, 1]", field="inputs.0.shape")
    if not 1 <= (texts := tensor.shape[0]) <= MAX_TEXTS:
        raise InvalidInput(f"give 1 to {MAX_TEXTS} texts", field="inputs.0.shape")
    elements = _elements(tensor, binary)
    if len(elements) != texts:
        raise InvalidInput(f"the shape promises {texts} texts and there are {len(elements)}", field="inputs.0.data")
    return [_checked(text, place) for place, text in enumerate(elements)]


def _elements(tensor: InputTensor, binary: bytes) -> list[object]:
    size = tensor.parameters.get("binary_data_size")
    if unknown := sorted(tensor.parameters.keys() - {"binary_data_size"}):
        raise InvalidInput(f"there is no parameter {unknown[0]!r} here", field="inputs.0.parameters")
    if (tensor.data is None) == (size is None):
        raise InvalidInput("give either data or binary data", field="inputs.0.data")
    if tensor.data is not None:
        if binary:
            raise Malformed(f"{len(binary)} bytes of the body belong to no input")
        return list(row_major(tensor.data, depth=len(tensor.shape)))
    if size != len(binary) or isinstance(size, bool):
        raise Malformed(f"the binary data has {len(binary)} bytes and should have {size}", field="inputs.0.parameters")
    try:
        return list(bytes_elements(binary, most=tensor.shape[0]))
    except TensorError as error:
        raise Malformed(f"the binary data cannot be read: {error}", field="inputs.0") from error


def _checked(text: object, place: int) -> str:
    try:
        return _text.validate_python(text, strict=True)
    except ValidationError as error:
        raise InvalidInput(error.errors()[0]["msg"], field=f"inputs.0.data.{place}") from error


def _requested(asked: InferenceRequest) -> list[str]:
    names = [each.name for each in asked.outputs]
    for place, name in enumerate(names):
        if name not in OUTPUTS:
            raise InvalidInput(f"there is no output {name!r}", field=f"outputs.{place}.name")
        if name in names[:place]:
            raise InvalidInput(f"the output {name!r} is asked for twice", field=f"outputs.{place}.name")
        if unknown := sorted(asked.outputs[place].parameters.keys() - {"binary_data"}):
            raise InvalidInput(f"there is no parameter {unknown[0]!r} here", field=f"outputs.{place}.parameters")
    return names or list(OUTPUTS)


def _sooner(deadline: float, asked: InferenceRequest) -> float:
    """The deadline, or the end of the request's own timeout in microseconds when that comes first."""
    timeout = asked.parameters.get("timeout")
    if timeout is None:
        return deadline
    if isinstance(timeout, bool | str) or not 0 < timeout < math.inf:
        raise InvalidInput("the timeout should be a number of microseconds", field="parameters.timeout")
    return min(deadline, asyncio.get_running_loop().time() + timeout / 1e6)


def _response(
    asked: InferenceRequest, names: Sequence[str], model: UnderstandingModel, answers: Sequence[Answer]
) -> Response:
    binary_by_default = asked.parameters.get("binary_data_output") is True
    wanted = {each.name: each.parameters.get("binary_data", binary_by_default) is True for each in asked.outputs}
    described, behind = [], []
    for name in names:
        tensor = OUTPUTS[name].tensor(name, answers)
        described.append(OutputTensor(name=name, datatype=tensor.datatype, shape=tensor.shape))
        if wanted.get(name, binary_by_default):
            behind.append(tensor.binary())
            described[-1].parameters = {"binary_data_size": len(behind[-1])}
        else:
            described[-1].data = tensor.data()
    manifest = model.manifest
    head = InferenceResponse(
        model_name=manifest.name, model_version=manifest.version, id=asked.id, outputs=described
    ).model_dump_json(exclude_none=True)
    if not behind:
        return Response(head, media_type="application/json")
    raw = head.encode()
    return Response(b"".join((raw, *behind)), media_type=OCTETS, headers={HEADER_LENGTH: str(len(raw))})
