"""The JSON of the Open Inference Protocol v2."""

from typing import Annotated, Any

from pydantic import BaseModel, Field, StrictBool, StrictFloat, StrictInt, StrictStr, StringConstraints

from services.intent.api.schemas import without_references
from shared.contracts.understanding import MAX_TEXTS

__all__ = [
    "INFERENCE_REQUEST",
    "HealthLive",
    "HealthReady",
    "InferenceRequest",
    "InferenceResponse",
    "InputTensor",
    "ModelMetadata",
    "ModelReady",
    "OutputTensor",
    "RequestedOutput",
    "ServerMetadata",
    "TensorMetadata",
]

MAX_NAME = 128
MAX_OUTPUTS = 32

TensorName = Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME)]
Parameters = dict[str, StrictBool | StrictInt | StrictFloat | Annotated[StrictStr, Field(max_length=MAX_NAME)]]
Size = Annotated[int, Field(strict=True, ge=0)]


class HealthLive(BaseModel):
    """Whether the server works."""

    live: bool


class HealthReady(BaseModel):
    """Whether the server can take requests."""

    ready: bool


class ServerMetadata(BaseModel):
    """What this server is, and which extensions of the protocol it knows."""

    name: str
    version: str
    extensions: list[str]


class ModelReady(BaseModel):
    """Whether a model can take requests."""

    name: str
    ready: bool


class TensorMetadata(BaseModel):
    """A tensor of a model; -1 stands for a size that each request chooses."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    """A model's tensors and the versions of it that can be asked."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class InputTensor(BaseModel):
    """An input; without `data` it is binary, and the parameter `binary_data_size` says how long."""

    name: Annotated[TensorName, Field(json_schema_extra={"const": "text"})]
    shape: Annotated[list[Size], Field(min_length=1, max_length=2)]
    datatype: Annotated[str, Field(max_length=8, json_schema_extra={"const": "BYTES"})]
    parameters: Parameters = Field(default_factory=dict)
    data: Annotated[list[Any], Field(max_length=MAX_TEXTS)] | None = None


class RequestedOutput(BaseModel):
    """An output that is wanted; the parameter `binary_data` asks for it in binary form."""

    name: TensorName
    parameters: Parameters = Field(default_factory=dict)


class InferenceRequest(BaseModel):
    """Texts, and which outputs are wanted: all of them where none is named."""

    id: Annotated[str, StringConstraints(max_length=MAX_NAME)] | None = None
    parameters: Parameters = Field(default_factory=dict)
    inputs: Annotated[list[InputTensor], Field(min_length=1, max_length=8)]
    outputs: Annotated[list[RequestedOutput], Field(max_length=MAX_OUTPUTS)] = Field(default_factory=list)


class OutputTensor(BaseModel):
    """An output; where it has no `data` it is binary, in the order of the outputs behind the JSON."""

    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, int] | None = None
    data: list[Any] | None = None


class InferenceResponse(BaseModel):
    """The outputs that were asked for, in the order in which they were."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputTensor]


INFERENCE_REQUEST = without_references(InferenceRequest.model_json_schema())
"""The JSON schema of an inference request."""
