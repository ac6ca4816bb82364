"""The same request again, with the same key, is answered as before and does nothing."""

import hashlib
import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pydantic import BaseModel

from examples.shop import repository
from examples.shop.problems import Problem
from examples.shop.store import Store

__all__ = ["Answer", "fingerprint_of", "forget_old", "once"]

KEPT = timedelta(days=30)


@dataclass(frozen=True)
class Answer:
    """What was answered, now or before."""

    status: int
    body: str
    replayed: bool


def fingerprint_of(method: str, path: str, body: BaseModel | None) -> str:
    """What is asked for, as a digest: a key stands for one request only."""
    sent = "" if body is None else body.model_dump_json()
    return hashlib.sha256(f"{method} {path}\n{sent}".encode()).hexdigest()


def once(
    store: Store, key: str, fingerprint: str, status: int, effect: Callable[[sqlite3.Connection], BaseModel]
) -> Answer:
    """Makes an effect and keeps its answer, both or neither; what was answered before is answered again.

    A refusal is an answer too.

    Raises:
        Problem: the key was used for another request.
    """
    with store.writing() as db:
        kept = repository.kept_answer(db, key)
        if kept is not None:
            if kept["fingerprint"] != fingerprint:
                raise Problem(422, "idempotency_key_reused", "this idempotency key was used for another request")
            return Answer(kept["status"], kept["body"], replayed=True)
        try:
            body = effect(db).model_dump_json()
        except Problem as refusal:
            status, body = refusal.status, json.dumps(refusal.body, ensure_ascii=False)
        repository.keep_answer(db, key, fingerprint, status, body, repository.stamp(datetime.now(UTC)))
    return Answer(status, body, replayed=False)


def forget_old(store: Store) -> None:
    """Deletes answers of long ago; nobody asks again after so long."""
    with store.writing() as db:
        repository.forget_answers(db, repository.stamp(datetime.now(UTC) - KEPT))
