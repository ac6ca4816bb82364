"""Which passwords are good enough, and how they are kept."""

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.login.passwords import Passwords, check_password, normalise_password
from shared.errors import InvalidInput, Unavailable


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    made = Passwords(memory_kib=8, iterations=1, parallelism=1, threads=1, queue=2)
    yield made
    made.close()


@pytest.mark.parametrize(
    "good",
    [
        "correct horse battery",
        "kX9$mQ2vLp7Z",
        "新的密码很安全的因为它很长",
        "😀🎉🐼🍜🚀🎸🌈🍕🎲🧩🪁🎯",
        "kX9$mQ2vLp7Z" * 10,
    ],
)
def test_good_passwords_pass(good: str) -> None:
    check_password(normalise_password(good), "lilei", "李雷")


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "k4#vT9!qLz2",
        "correct horse battery " * 6,
        "correct horse\0battery",
        "correct horse\nbattery",
        "correct horse\ud800battery",
        "passwordpassword",
        "PassWord12345",
        "ｐａｓｓｗｏｒｄ１２３４５",
        "woaini1314520",
        "zzzzzzzzzzzzzz",
        "li.lei.1990!",
        "LI.LEI.1990!!",
        "hanmeimei2026",
        "Zhiyin@2026!!",
        "知音知音知音知音知音知音",
    ],
)
def test_bad_passwords_are_refused_by_name_and_not_repeated(bad: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        check_password(normalise_password(bad), "li.lei.1990", "Han Meimei", field="new")
    assert raised.value.errors[0].field == "new"
    assert not bad or bad not in raised.value.detail


@pytest.mark.parametrize(("one", "other"), [("Ａｂｃ１２３", "Abc123"), ("caf\u00e9", "cafe\u0301"), ("ﬁne", "fine")])
def test_keyboards_write_one_password_in_several_ways(one: str, other: str) -> None:
    assert normalise_password(one) == normalise_password(other)


@given(st.text(max_size=200))
def test_normalising_twice_changes_nothing(password: str) -> None:
    once = normalise_password(password)
    assert normalise_password(once) == once


async def test_only_the_password_itself_is_verified(passwords: Passwords) -> None:
    stored = await passwords.hash("correct horse")
    assert stored.startswith("$argon2id$")
    assert stored != await passwords.hash("correct horse"), "every hash has a salt of its own"
    assert await passwords.verify(stored, "correct horse")
    assert not await passwords.verify(stored, "correct horsf")
    assert not await passwords.verify("not a hash at all", "correct horse")


async def test_nobody_has_a_password_not_even_the_stand_in(passwords: Passwords) -> None:
    assert not await passwords.verify(None, "nobody has this password")


async def test_a_hash_with_other_parameters_is_outdated(passwords: Passwords) -> None:
    stored = await passwords.hash("correct horse")
    stronger = Passwords(memory_kib=16, iterations=1, parallelism=1, threads=1, queue=1)
    assert not passwords.outdated(stored)
    assert stronger.outdated(stored)
    assert await stronger.verify(stored, "correct horse")
    stronger.close()


async def test_who_comes_when_the_queue_is_full_may_come_again(passwords: Passwords) -> None:
    outcomes = await asyncio.gather(*(passwords.hash("correct horse") for _ in range(5)), return_exceptions=True)
    refused = [each for each in outcomes if isinstance(each, Unavailable)]
    assert len(refused) == 2, "one thread and two places to wait"
    assert all(each.retry_after for each in refused)
    assert (await passwords.hash("correct horse")).startswith("$argon2id$"), "there is room again"
