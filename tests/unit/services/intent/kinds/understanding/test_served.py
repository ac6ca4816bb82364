import asyncio
from datetime import date
from pathlib import Path

import pytest

from services.intent.batching.queue import BatchQueue
from services.intent.kinds.understanding.served import (
    CACHED_CHARACTERS,
    Question,
    UnderstandingKind,
    understand,
    understanding_of,
)
from services.intent.limits import BatchPolicy
from services.intent.settings import Settings
from shared.errors import InvalidInput
from shared.nlu.answers import Answer
from shared.nlu.manifest import Manifest, ModelRejected, read_source
from shared.nlu.model import Model
from tests.models import served
from tests.nearest.served import NearestKind, write_nearest
from tests.versions import Versions


async def test_what_texts_mean_comes_in_their_order(model: Model) -> None:
    queue = BatchQueue[Question, Answer](served(model), BatchPolicy())
    deadline = asyncio.get_running_loop().time() + 20
    answers = await understand(queue, ["退款", "hello"], deadline=deadline)
    queue.close()
    assert [each.intent.name for each in answers] == ["refund", "greet"]


def test_relative_dates_are_seen_from_the_day_of_the_question(model: Model) -> None:
    texts = served(model, today=lambda _timezone: date(2026, 12, 1))
    [answer] = texts.answers(texts.ask(["yesterday"]))
    assert answer.understanding is not None
    assert answer.understanding.entities[0].value == "2026-11-30"


def test_the_verdict_is_the_best_intent_and_an_embedding_has_none(model: Model) -> None:
    texts = served(model)
    [answer] = texts.answers(texts.ask(["退款"]))
    verdict = texts.verdict(answer)
    assert verdict is not None
    assert verdict.label == "refund"
    [embedded] = texts.answers(texts.ask(["退款"], "embed"))
    assert texts.verdict(embedded) is None


def test_only_short_texts_are_worth_remembering(model: Model) -> None:
    texts = served(model)
    short, long = texts.ask(["a" * CACHED_CHARACTERS, "a" * (CACHED_CHARACTERS + 1)])
    assert texts.cache_key(short) == short
    assert texts.cache_key(long) is None
    [embedded] = texts.ask([short.text], "embed")
    assert texts.cache_key(embedded) != texts.cache_key(short)


def test_a_model_of_another_kind_is_not_taken_for_one(tmp_path: Path, model: Model) -> None:
    table = NearestKind().load(read_source(write_nearest(tmp_path, "t1"), Manifest), Settings())
    with pytest.raises(InvalidInput, match="does not understand texts"):
        understanding_of(table)
    assert understanding_of(texts := served(model)) is texts


def test_its_golden_set_comes_with_it(versions: Versions) -> None:
    folder = versions.add("v2")
    loaded = UnderstandingKind().load(read_source(folder, Manifest), Settings(inference_backend="openvino"))
    assert loaded.golden is not None
    assert [each.text for each in loaded.golden.questions][:2] == ["快递", "where is my parcel"]
    assert loaded.golden.labels[:2] == ["track_order", "track_order"]


def test_a_golden_set_that_cannot_be_read_is_a_reason_to_refuse(versions: Versions) -> None:
    folder = versions.add("v2")
    source = read_source(folder, Manifest)
    (folder / "golden.json").write_text("{}")
    with pytest.raises(ModelRejected, match=r"golden\.json is missing or damaged"):
        UnderstandingKind().load(source, Settings(inference_backend="openvino"))
