import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import BaseModel

from examples.shop import repository
from examples.shop.bodies import RefundOrder
from examples.shop.effects import refund_order
from examples.shop.idempotency import Answer, fingerprint_of, forget_old, once
from examples.shop.problems import Problem
from examples.shop.store import Store

REASON = RefundOrder(reason="太小了")


def refund(db: sqlite3.Connection) -> BaseModel:
    return refund_order(db, "C1001", "20261103003", REASON)


def test_the_same_key_makes_the_effect_once_however_many_come_at_once(store: Store) -> None:
    def one(_number: int) -> Answer:
        return once(store, "key", "f", 201, refund)

    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(one, range(32)))

    assert len({answer.body for answer in answers}) == 1
    assert {answer.status for answer in answers} == {201}
    assert sum(not answer.replayed for answer in answers) == 1
    with store.reading() as db:
        assert len(repository.cases_of(db, "C1001", 9)) == 1


def test_a_refusal_is_answered_again_too(store: Store) -> None:
    once(store, "first", "f", 201, refund)
    refused = once(store, "second", "f", 201, refund)
    assert (refused.status, json.loads(refused.body)["code"]) == (409, "already_refunded")
    again = once(store, "second", "f", 201, refund)
    assert (again.status, again.body, again.replayed) == (409, refused.body, True)


def test_a_key_is_good_for_one_request(store: Store) -> None:
    once(store, "key", "f", 201, refund)
    with pytest.raises(Problem) as refused:
        once(store, "key", "g", 201, refund)
    assert (refused.value.status, refused.value.code) == (422, "idempotency_key_reused")


def test_neither_effect_nor_key_is_left_by_what_fails(store: Store) -> None:
    def fails(db: sqlite3.Connection) -> BaseModel:
        refund(db)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        once(store, "key", "f", 201, fails)
    assert not once(store, "key", "f", 201, refund).replayed


def test_a_fingerprint_tells_requests_apart_and_not_how_they_are_written() -> None:
    first = fingerprint_of("POST", "/x", RefundOrder.model_validate_json('{"reason": "a"}'))
    assert fingerprint_of("POST", "/x", RefundOrder.model_validate_json('{ "reason":"a" }')) == first
    others = [("PUT", "/x", REASON), ("POST", "/y", REASON), ("POST", "/x", REASON), ("POST", "/x", None)]
    assert len({first, *(fingerprint_of(*each) for each in others)}) == 5


def test_a_key_of_long_ago_is_forgotten(store: Store) -> None:
    with store.writing() as db:
        for days in (29, 31):
            then = repository.stamp(datetime.now(UTC) - timedelta(days=days))
            repository.keep_answer(db, f"{days}", "f", 201, "{}", then)
    forget_old(store)
    with store.reading() as db:
        assert repository.kept_answer(db, "29")
        assert repository.kept_answer(db, "31") is None
