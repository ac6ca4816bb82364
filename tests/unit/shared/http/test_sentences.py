"""What is wrong with a value is said in words that a person understands, and that repeat nothing."""

from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from shared.http.sentences import sentence


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


def _even(number: int) -> int:
    if number % 2:
        raise ValueError("must be even")
    return number


class Form(BaseModel):
    """A field of each kind."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, StringConstraints(min_length=1, max_length=5)] = "x"
    code: Annotated[str, StringConstraints(min_length=3, pattern=r"^[a-z]*$")] = "abc"
    text: Annotated[str, StringConstraints(pattern=r"\S")] = "x"
    letter: Annotated[str, StringConstraints(max_length=1)] = "x"
    number: Annotated[int, Field(ge=1, le=9)] = 1
    share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    even: Annotated[int, AfterValidator(_even)] = 2
    yes: bool = True
    one: Literal["a", "b"] = "a"
    colour: Colour = Colour.RED
    several: Annotated[list[int], Field(min_length=1, max_length=2)] = [1]
    inner: dict[str, int] = {}


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("name", "", "must not be empty"),
        ("name", "too long a name", "has more than 5 characters"),
        ("name", 7, "must be a text"),
        ("name", None, "must be a text"),
        ("code", "ab", "needs 3 characters or more"),
        ("code", "A-B", "has characters or a form that are not allowed here"),
        ("text", "  ", "must not be blank"),
        ("letter", "xy", "has more than 1 character"),
        ("number", 0, "must be 1 or more"),
        ("number", 10, "must be 9 or less"),
        ("number", "x", "must be a whole number"),
        ("number", 1.5, "must be a whole number"),
        ("number", [], "must be a whole number"),
        ("share", 0, "must be more than 0"),
        ("share", 1, "must be less than 1"),
        ("share", "x", "must be a number"),
        ("even", 3, "must be even"),
        ("yes", "perhaps", "must be true or false"),
        ("yes", [], "must be true or false"),
        ("one", "c", "must be 'a' or 'b'"),
        ("colour", "green", "must be 'red' or 'blue'"),
        ("several", [], "needs 1 entry or more"),
        ("several", [1, 2, 3], "has more than 2 entries"),
        ("several", 7, "must be a list"),
        ("inner", 7, "must be an object"),
        ("other", 7, "is not known here"),
    ],
)
def test_every_kind_of_mistake_has_its_words(field: str, value: Any, words: str) -> None:
    with pytest.raises(ValidationError) as wrong:
        Form.model_validate({field: value})
    [error] = wrong.value.errors()
    assert sentence(error) == words


def test_what_is_missing_is_said_to_be() -> None:
    class Needy(BaseModel):
        name: str

    with pytest.raises(ValidationError) as wrong:
        Needy.model_validate({})
    assert sentence(wrong.value.errors()[0]) == "is missing"
    with pytest.raises(ValidationError) as wrong:
        Needy.model_validate([])
    assert sentence(wrong.value.errors()[0]) == "must be an object"


def test_an_unknown_kind_keeps_its_own_words() -> None:
    assert sentence({"type": "of the future", "msg": "Value error, it is odd"}) == "it is odd"
    assert sentence({"type": "of the future", "msg": "Something else"}) == "Something else"
