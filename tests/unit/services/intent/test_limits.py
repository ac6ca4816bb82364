"""Limits that settings may change."""

import pytest
from pydantic import ValidationError

from services.intent.limits import BatchPolicy, check_registry_uri


@pytest.mark.parametrize(
    "uri", ["", "http://host:5000", "https://someone:secret@host/mlflow", "sqlite:////srv/mlflow.db"]
)
def test_an_address_of_a_model_registry_is_kept_as_it_is(uri: str) -> None:
    assert check_registry_uri(uri) == uri


@pytest.mark.parametrize("uri", ["mlflow.db", "/srv/mlflow.db", "sqlite://host", "postgresql://host/db", "ftp://x"])
def test_any_other_address_is_refused(uri: str) -> None:
    with pytest.raises(ValueError, match="the URL of a tracking server, or sqlite:///"):
        check_registry_uri(uri)


@pytest.mark.parametrize("policy", [{"batch_tokens": 0}, {"queue_texts": 0}, {"cache_texts": -1}])
def test_a_queue_that_could_answer_nothing_is_refused(policy: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        BatchPolicy(**policy)
