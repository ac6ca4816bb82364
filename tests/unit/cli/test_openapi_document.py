import json
from pathlib import Path

import pytest

from cli.errors import NotReachable, UsageError
from cli.openapi_document import Reader, fetched, read_document

BOMB = "openapi: 3.1.0\na: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + each)}: &{chr(98 + each)} [{', '.join([f'*{chr(97 + each)}'] * 10)}]\n" for each in range(8)
)


@pytest.mark.parametrize("text", ['{"openapi": "3.0.3"}', "openapi: 3.1.0\n", '\ufeff\n {"openapi": "3.1.0"}'])
def test_json_and_yaml_are_read(text: str) -> None:
    assert str(read_document(text.encode())["openapi"]).startswith("3.")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no OpenAPI 3 document"),
        (b"[]", "no OpenAPI 3 document"),
        (b'{"swagger": "2.0"}', "Convert it from Swagger 2"),
        (b"{", "neither JSON nor YAML"),
        (b"a: b: c", "neither JSON nor YAML"),
        (b"\xff\xfe", "not UTF-8"),
        (b"a: !!python/object/apply:os.system [ls]", "neither JSON nor YAML"),
        (BOMB.encode(), "too much in it"),
        (b"[" * 100_000, "neither JSON nor YAML"),
        (b" " * 10_000_001, "more than 10000000 bytes"),
    ],
)
def test_what_is_no_document_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_document(content)


def test_references_are_followed_within_the_document_and_in_no_circle() -> None:
    reader = Reader({"a": {"$ref": "#/b~1c"}, "b/c": {"type": "string"}, "d": {"$ref": "#/d"}})
    assert reader.at({"$ref": "#/a"}) == {"type": "string"}
    assert reader.at({"$ref": "#/d"}) == {}
    assert reader.at({"$ref": "https://example.com/x.json"}) == {}
    assert reader.at({"$ref": "#/none/at/all"}) == {}
    circle = Reader({"a": {"allOf": [{"$ref": "#/a"}], "properties": {"x": {}}}})
    assert circle.schema({"$ref": "#/a"})["properties"] == {"x": {}}


def test_choices_and_parts_become_one_schema() -> None:
    reader = Reader({"base": {"properties": {"a": {"type": "string"}}, "required": ["a"]}})
    found = reader.schema({"allOf": [{"$ref": "#/base"}, {"properties": {"b": {}}}], "required": ["b"]})
    assert (sorted(found["properties"]), sorted(found["required"])) == (["a", "b"], ["a", "b"])
    assert reader.schema({"anyOf": [{"type": "null"}, {"type": "integer"}]})["type"] == "integer"
    assert reader.schema({"type": ["null", "string"]})["type"] == "string"


def test_a_document_comes_from_a_file_or_over_https(tmp_path: Path) -> None:
    file = tmp_path / "api.json"
    file.write_text(json.dumps({"openapi": "3.1.0"}), encoding="utf-8")
    assert read_document(fetched(str(file))) == {"openapi": "3.1.0"}
    with pytest.raises(UsageError, match="over https only"):
        fetched("http://127.0.0.1:1/openapi.json")
    with pytest.raises(NotReachable, match=r"cannot be fetched: nothing listens there\."):
        fetched("https://127.0.0.1:1/openapi.json")
