"""A kind that the server was not written for, behind the same endpoint, queue, cache, rollout and shadow."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from services.intent.app import create_app
from services.intent.kinds.known import KINDS
from services.intent.kinds.understanding.served import understand
from services.intent.rollout.controller import Rollout
from services.intent.rollout.loaded_models import LoadedModels
from services.intent.settings import Settings
from services.intent.versions.deployment import Deployment
from services.intent.versions.model_registry import Registered
from shared.errors import InvalidInput
from shared.nlu.manifest import Manifest, read_source
from shared.nlu.registry_tags import DIGEST_TAG, VERSION_TAG
from tests.models import describe, write_model
from tests.nearest.served import CENTROIDS, NearestKind, NearestModel, write_nearest
from tests.tokens import TokenFactory

BOTH = {**KINDS, NearestKind.name: NearestKind()}
SWAPPED = {"low": CENTROIDS["high"], "high": CENTROIDS["low"]}
TOKENS = TokenFactory()
SECONDS = 20.0


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A server of a model for texts and one for a table; its registry is away, so that only a test moves versions."""
    home = tmp_path_factory.mktemp("kinds")
    write_model(home, name="shop")
    write_nearest(home, "t1", production=True)
    settings = Settings(
        home=home,
        models=("shop", "shapes"),
        inference_streams=1,
        inference_backend="openvino",
        mlflow_uri="http://127.0.0.1:1",
    )
    with TestClient(create_app(settings, kinds=BOTH, jwks=TOKENS.fetch), raise_server_exceptions=False) as client:
        client.headers.update(TOKENS.headers("operator-1", roles={"operator"}))
        yield client


def predict(client: TestClient, **body: Any) -> Any:
    return client.post("/predict", json=body)


def test_rows_are_answered_as_their_kind_answers(both: TestClient) -> None:
    answer = predict(both, model="shapes", data=[[1, 1], [12, 10.5]])
    assert answer.status_code == 200
    body = answer.json()
    assert (body["model"], body["version"], body["task"]) == ("shapes", "t1", "label")
    assert [each["label"] for each in body["predictions"]] == ["low", "high"]
    assert predict(both, model="shapes", data=[[3, 4.2]], task="rounded").json()["predictions"] == [
        {"label": "low", "distance": 5}
    ]


def test_texts_are_answered_beside_them(both: TestClient) -> None:
    [prediction] = predict(both, model="shop", data="退款", task="intent").json()["predictions"]
    assert prediction["intent"]["name"] == "refund"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"model": "shapes", "data": "退款"}, "data"),
        ({"model": "shapes", "data": [[1]]}, "data.0.1"),
        ({"model": "shapes", "data": [[1, "x"]]}, "data.0.1"),
        ({"model": "shapes", "data": [[1, "NaN"]]}, "data.0.1"),
        ({"model": "shapes", "data": []}, "data"),
        ({"model": "shapes", "data": [[1, 1]], "task": "intent"}, "task"),
        ({"model": "shapes"}, "data"),
        ({"model": "shop", "data": [[1, 1]]}, "data.texts.0"),
        ({"model": "shop", "data": "hello", "task": "rounded"}, "task"),
    ],
)
def test_each_kind_refuses_what_is_not_for_it(both: TestClient, body: Any, field: str) -> None:
    answer = predict(both, **body)
    assert answer.status_code == 422
    assert [each["field"] for each in answer.json()["errors"]] == [field]


@pytest.mark.parametrize(
    "data", [r'"\ud800"', r'["\ud800"]', "[[1, " + "[" * 900 + "]" * 900 + "]]", "{}", "null", "NaN"]
)
@pytest.mark.parametrize("model", ["shop", "shapes"])
def test_what_is_malformed_is_refused_beside_a_shadow_too(both: TestClient, model: str, data: str) -> None:
    """Which version answers a request is drawn before its data is checked."""
    assert isinstance(both.app, FastAPI)
    [deployment] = (each for each in both.app.state.models.deployments if each.name == model)
    deployment.shadow = deployment.production
    try:
        answer = both.post(
            "/predict", content=f'{{"model": "{model}", "data": {data}}}', headers={"Content-Type": "application/json"}
        )
    finally:
        deployment.shadow = None
    assert (answer.status_code in (400, 422), answer.headers["content-type"]) == (True, "application/problem+json")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/understand", {"assistant": "shapes", "text": "hello"}),
        ("/v1/embed", {"model": "shapes", "texts": ["hello"]}),
        ("/v1/explain", {"model": "shapes", "text": "hello"}),
        (
            "/v2/models/shapes/infer",
            {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["hello"]}]},
        ),
    ],
)
def test_what_is_for_texts_says_that_a_table_reads_none(both: TestClient, path: str, body: Any) -> None:
    answer = both.post(path, json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert "does not understand texts" in answer.json()["detail"]


def test_the_list_of_models_says_their_kinds(both: TestClient) -> None:
    models = {each["name"]: each for each in both.get("/v1/models").json()["models"]}
    assert {name: each["kind"] for name, each in models.items()} == {"shop": "understanding", "shapes": "nearest"}
    assert models["shop"]["languages"] == ["zh", "en"]
    assert "languages" not in models["shapes"]


def test_the_documentation_describes_every_kind(both: TestClient) -> None:
    document = both.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    data = schemas["PredictRequest"]["properties"]["data"]
    assert {"type": "array", "maxItems": 64} in [
        {key: each.get(key) for key in ("type", "maxItems")} for each in data["anyOf"]
    ]
    assert "distance" in str(schemas["PredictResponse"]["properties"]["predictions"])


async def until(condition: Callable[[], bool]) -> None:
    """Waits until something holds."""
    async with asyncio.timeout(SECONDS):
        while True:
            if condition():
                return
            await asyncio.sleep(0.002)


class Aliases:
    """A model registry whose aliases the test moves."""

    def __init__(self) -> None:
        self.named: dict[str, Registered] = {}
        self.folders: dict[str, Path] = {}

    def point(self, alias: str, folder: Path) -> None:
        digest = read_source(folder, Manifest).digest
        self.folders[folder.name] = folder
        self.named[alias] = Registered("shapes", 1, str(folder), {VERSION_TAG: folder.name, DIGEST_TAG: digest})

    async def aliases(self, name: str) -> Mapping[str, Registered]:
        return self.named

    async def find(self, name: str, version: str) -> Registered | None:
        return next((each for each in self.named.values() if each.version == version), None)

    async def location(self, registered: Registered) -> str:
        return str(self.folders[registered.version])

    async def close(self) -> None:
        return


class Server:
    """The models of a home with a table `t1` in production, and their rollout, stepped by the test."""

    def __init__(self, home: Path) -> None:
        self.home = home
        settings = Settings(home=home, models=("shapes",), shadow_share=1.0, inference_streams=1)
        self.settings = settings
        self.registry = Aliases()
        self.models = LoadedModels(settings, self.registry, BOTH)
        self.rollout = Rollout(self.models, self.registry, settings)

    @property
    def deployment(self) -> Deployment:
        [deployment] = self.models.deployments
        return deployment

    @property
    def version(self) -> str:
        assert self.deployment.production is not None
        return self.deployment.production.version

    async def ask(self, *rows: tuple[float, float], task: str = "label") -> list[Any]:
        deadline = asyncio.get_running_loop().time() + SECONDS
        async with self.models.use("shapes", tenant="default", key="k", deadline=deadline) as served:
            return await served.submit(served.model.questions(rows, task), deadline=deadline)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    write_nearest(tmp_path, "t1", production=True)
    server = Server(tmp_path)
    await server.models.load(server.settings)
    yield server
    await server.models.close()


async def test_a_better_version_is_swapped_in_and_a_worse_one_is_not(server: Server) -> None:
    server.registry.point("production", write_nearest(server.home, "t2"))
    await server.rollout.follow()
    assert server.version == "t2"
    server.registry.point("production", write_nearest(server.home, "t3", centroids=SWAPPED))
    await server.rollout.follow()
    assert server.version == "t2"
    assert "gets 0.000 of its golden set right" in server.deployment.refusals["production"].reason


async def test_a_name_never_changes_its_kind_by_a_rollout(server: Server) -> None:
    folder = write_model(server.home, name="shapes", version="texts", production=False)
    (folder / "golden.json").write_text('{"texts": [{"text": "退款", "intent": "refund"}], "accuracy": 1.0}')
    (folder / "manifest.json").unlink()
    describe(folder, {}, {})
    server.registry.point("production", folder)
    await server.rollout.follow()
    assert server.version == "t1"
    reason = server.deployment.refusals["production"].reason
    assert "of the kind understanding and t1 is of nearest" in reason


async def test_a_shadow_is_compared_by_its_verdicts(server: Server) -> None:
    server.registry.point("production", server.home / "models" / "shapes" / "t1")
    server.registry.point("shadow", write_nearest(server.home, "s1", centroids={**CENTROIDS, "middle": (5.0, 5.0)}))
    await server.rollout.follow()
    shadow = server.deployment.shadow
    assert shadow is not None
    mirroring = asyncio.create_task(server.models.mirror.run())
    try:
        await server.ask((1, 1), (5, 5), (9, 9))
        await until(lambda: shadow.compared == 3)
    finally:
        mirroring.cancel()
    assert shadow.agreed == 2


async def test_rows_that_come_again_are_not_computed_again_and_keys_keep_batches_apart(server: Server) -> None:
    assert server.deployment.production is not None
    model = server.deployment.production.model
    assert isinstance(model, NearestModel)
    await server.ask((1, 1), (2, 2), (1, 1))
    await asyncio.gather(server.ask((1, 1), (3, 3)), server.ask((3, 3), (4, 4), task="rounded"))
    computed = [question for batch in model.batches for question in batch]
    assert len(computed) == len(set(computed)) == 5
    assert all(len({each.rounded for each in batch}) == 1 for batch in model.batches)


async def test_a_table_is_not_asked_what_a_text_means(server: Server) -> None:
    deadline = asyncio.get_running_loop().time() + SECONDS
    async with server.models.use("shapes", tenant="default", deadline=deadline) as served:
        with pytest.raises(InvalidInput, match="does not understand texts"):
            await understand(served, ["hello"], deadline=deadline)
