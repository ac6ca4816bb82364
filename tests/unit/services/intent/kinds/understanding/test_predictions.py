from typing import Any

import pytest
from pydantic import ValidationError

from services.intent.kinds.understanding.predictions import DATA, TASKS, predictions, texts_of
from shared.nlu.model import Model


@pytest.mark.parametrize(
    ("data", "texts"),
    [("hello", ["hello"]), ({"text": "hello"}, ["hello"]), (["hello", "退款"], ["hello", "退款"])],
)
def test_texts_come_in_three_shapes(data: Any, texts: list[str]) -> None:
    assert texts_of(DATA.validate_python(data)) == texts


@pytest.mark.parametrize(
    "data", ["", " ", [], ["a", ""], ["a"] * 65, {}, {"text": "a", "more": 1}, 7, None, [["a"]], "a" * 2001]
)
def test_anything_else_is_refused(data: Any) -> None:
    with pytest.raises(ValidationError):
        DATA.validate_python(data)


def test_every_task_has_a_prediction_for_each_text(model: Model) -> None:
    answers = model.answers(["退款", "hello"])
    by_task = {task: predictions(task, answers) for task in TASKS}
    assert {task: len(found) for task, found in by_task.items()} == dict.fromkeys(TASKS, 2)
    assert len({type(found[0]) for found in by_task.values()}) == len(TASKS)
