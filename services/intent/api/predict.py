"""One endpoint for every model, kind of model and task."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from pydantic import (
    BaseModel,
    ConfigDict,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
    create_model,
)

from services.intent.api.access import AUTHORISED, Deadline, ModelName, Models, unless_gone
from services.intent.api.schemas import without_references
from services.intent.kinds.kind import Kind
from shared.contracts.base import RequestBody
from shared.contracts.understanding import Key
from shared.errors import InvalidInput, responses

__all__ = ["router"]

TaskName = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class PredictRequest(RequestBody):
    """What one model is asked, as its kind takes it: for a model that understands texts, one or up to 64 of them.

    `task` says which part of the answer is wanted, and may be left out. Requests with the same `key`, by default those
    of one caller, are answered by the same version.
    """

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"model": "shop", "data": "退款多久到账", "task": "intent"}]},
    )

    model: ModelName
    data: Any
    task: TaskName = ""
    key: Key = ""


class PredictResponse(BaseModel):
    """A prediction for each item of the request, in their order, of the kind that the task asks for."""

    model: str
    version: str
    task: str
    predictions: list[Any]


def router(kinds: Mapping[str, Kind]) -> APIRouter:
    """The endpoint of a server of these kinds of model, which its documentation describes."""
    endpoint = APIRouter(tags=["intent"], dependencies=[AUTHORISED])
    data = Annotated[Any, WithJsonSchema(_any_of(each.data for each in kinds.values()))]
    prediction = Annotated[Any, WithJsonSchema(_any_of(each.prediction for each in kinds.values()))]
    request_type: Any = create_model("PredictRequest", __base__=PredictRequest, data=(data, ...))
    response_type: Any = create_model("PredictResponse", __base__=PredictResponse, predictions=(list[prediction], ...))

    @endpoint.post("/predict", response_model=response_type, responses=responses(404, 429, 504))
    async def predict(body: request_type, request: Request, models: Models, deadline: Deadline) -> Any:
        """What a model says of one or more items."""
        return await _predict(body, request, models, deadline)

    return endpoint


async def _predict(body: PredictRequest, request: Request, models: Models, deadline: float) -> PredictResponse:
    async with models.use(body.model, key=body.key or models.caller) as served:
        model = served.model
        task = body.task or model.kind.tasks[0]
        if task not in model.kind.tasks:
            raise InvalidInput(f"a model of this kind has the tasks {', '.join(model.kind.tasks)}", field="task")
        questions = model.questions(_checked(model.kind.data, body.data), task)
        answers = await unless_gone(request, served.submit(questions, deadline=deadline))
        manifest = model.manifest
        return PredictResponse(
            model=manifest.name,
            version=manifest.version,
            task=task,
            predictions=list(model.predictions(task, answers)),
        )


def _checked(adapter: TypeAdapter[Any], data: Any) -> Any:
    try:
        return adapter.validate_python(data)
    except ValidationError as error:
        found = [{**each, "loc": ("body", "data", *each["loc"])} for each in error.errors(include_url=False)]
        raise RequestValidationError(found) from error


def _any_of(adapters: Iterable[TypeAdapter[Any]]) -> dict[str, Any]:
    schemas = [without_references(each.json_schema()) for each in adapters]
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
