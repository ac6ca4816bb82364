from pydantic import BaseModel, TypeAdapter

from services.intent.api.schemas import without_references


class Leaf(BaseModel):
    size: int


class Tree(BaseModel):
    leaves: list[Leaf]


def test_parts_stand_where_they_were_referred_to() -> None:
    schema = without_references(Tree.model_json_schema())
    assert "$ref" not in str(schema)
    assert schema["properties"]["leaves"]["items"]["properties"]["size"]["type"] == "integer"


def test_a_schema_without_parts_stays_as_it_is() -> None:
    schema = TypeAdapter(list[int]).json_schema()
    assert without_references(schema) == schema
