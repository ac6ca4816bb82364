"""Numbers come out as they were written, however large; helm reads those of a file as floats, and prints 2e+06."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from tests.chart.chart import CHART, every, render
from tests.kubernetes import CommandFailed

LARGE = 12345678
SCHEMA = json.loads((CHART / "values.schema.json").read_text())


def large(values: Any, schema: Mapping[str, Any]) -> Any:
    """The values with every number as large as the schema allows, or large enough to be printed with an exponent."""
    while "$ref" in schema or "allOf" in schema:
        schema = schema["allOf"][0] if "allOf" in schema else at(schema["$ref"])
    if isinstance(values, Mapping):
        of = schema.get("properties", {})
        return {key: large(value, of.get(key, {})) for key, value in values.items()}
    if isinstance(values, int) and not isinstance(values, bool):
        return min(LARGE, schema.get("maximum", LARGE)) if values >= 0 else -LARGE
    return values


def at(reference: str) -> Any:
    found = SCHEMA
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def test_no_number_of_a_values_file_gets_an_exponent() -> None:
    values = large(yaml.safe_load((CHART / "values.yaml").read_text()), SCHEMA)
    for switch in ("ingress", "prometheusRule", "learning", "serviceMonitor"):
        values[switch]["enabled"] = True
    values["learning"]["gpu"]["enabled"] = values["components"]["intent"]["gpu"]["enabled"] = True
    values["components"]["worker"]["keda"]["enabled"] = values["priorityClasses"]["create"] = True
    values["componentDefaults"]["terminationGracePeriodSeconds"] = LARGE
    values["componentDefaults"]["env"] = {"NUMBER": LARGE}
    values["config"] = {"ZHIYIN_MAX_BODY_BYTES": LARGE, "HALF": LARGE + 0.5, "YES": True, "SMALL": 0.25}
    for autoscaled in (False, True):
        values["componentDefaults"]["autoscaling"]["enabled"] = autoscaled
        values["components"]["worker"]["autoscaling"] = {"enabled": False}
        chart = render(values)
        floats = [
            (each["kind"], each["metadata"]["name"], path)
            for each in chart.objects
            for path, value in every(each)
            if isinstance(value, float)
        ]
        assert floats == []
        texts = [
            (each["kind"], each["metadata"]["name"], path)
            for each in chart.objects
            for path, value in every(each)
            if isinstance(value, str) and re.search(r"\de\+\d", value)
        ]
        assert texts == []
        data = chart.get("ConfigMap", "config")["data"]
    assert {name: data[name] for name in values["config"]} == {
        "ZHIYIN_MAX_BODY_BYTES": "12345678",
        "HALF": "12345678.5",
        "YES": "true",
        "SMALL": "0.25",
    }


TAGS = ["image", "components.login.image", "redis.image", "learning.image", "components.intent.gpu.image"]


@pytest.mark.parametrize("path", TAGS)
@pytest.mark.parametrize("tag", ["20261103", "1234e05", "1.10", "0123", "1e3"])
def test_a_tag_is_what_its_owner_wrote(path: str, tag: str) -> None:
    values = {"learning": {"enabled": True}, "components": {"intent": {"gpu": {"enabled": True}}}}
    parts = path.split(".")
    inner = values
    for part in parts:
        inner = inner.setdefault(part, {})  # type: ignore[assignment]
    inner["tag"] = tag
    images = [value for each in render(values).objects for _, value in every(each) if isinstance(value, str)]
    assert any(each.endswith(f":{tag}") for each in images)
    inner["tag"] = yaml.safe_load(tag)
    if isinstance(inner["tag"], str):
        return
    with pytest.raises(CommandFailed, match="tag"):
        render(values)


@pytest.mark.parametrize("value", [2**53, -(2**60), 1234e56])
@pytest.mark.parametrize("path", ["config", "components.login.env"])
def test_a_number_that_a_float_cannot_hold_is_refused(path: str, value: Any) -> None:
    values: Any = {"LARGE": value}
    for part in reversed(path.split(".")):
        values = {part: values}
    with pytest.raises(CommandFailed, match="LARGE"):
        render(values)
