"""Would an API server take the object? Kubernetes' own kinds by its schemas, the kinds of add-ons by models of them."""

import functools

import jsonschema_rs
from pydantic import ValidationError

from tests.chart.chart import Object
from tests.chart.custom_resources import MODELS
from tests.chart.schemas import schemas

__all__ = ["NEWEST", "OLDEST", "TEST_CLUSTER", "violations"]

NEWEST = "1.37"
OLDEST = "1.23"
TEST_CLUSTER = "1.20"
"""The API of the cluster that the cluster tests run on: 1.20's, and the two groups of `BACKPORTED` out of 1.23."""

BACKPORTED = {"autoscaling/v2 HorizontalPodAutoscaler", "policy/v1 PodDisruptionBudget"}


def violations(document: Object, version: str = NEWEST) -> list[str]:
    """What that version's API server would refuse in the object, or drop without a word; empty when nothing."""
    kind = f"{document.get('apiVersion')} {document.get('kind')}"
    if kind in MODELS:
        try:
            MODELS[kind].model_validate(document)
        except ValidationError as error:
            return [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
        return []
    validator = _validator(OLDEST if version == TEST_CLUSTER and kind in BACKPORTED else version, kind)
    if validator is None:
        return [f"Kubernetes {version} has no {kind}"]
    return [f"{'.'.join(map(str, error.instance_path))}: {error.message}" for error in validator.iter_errors(document)]


@functools.cache
def _validator(version: str, kind: str) -> jsonschema_rs.Draft202012Validator | None:
    known = schemas(version)
    if kind not in known["kinds"]:
        return None
    return jsonschema_rs.Draft202012Validator(
        {
            "$ref": f"#/$defs/{known['kinds'][kind]}",
            "$defs": known["$defs"],
            "required": ["apiVersion", "kind", "metadata"],
        }
    )
