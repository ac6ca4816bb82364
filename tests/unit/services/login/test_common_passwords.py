"""Which passwords are among the first that anybody would try, by how they are made."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.login.common_passwords import WORDS, guessable, worth

KNOWN = re.findall(
    r"\S+",
    """
123456789012 1234567890123 12345678910 1234567891011 123123123123 121212121212 111111111111 000000000000 987654321098
qwertyuiop12 qwertyuiop123 qwertyuiopasdf 1qaz2wsx3edc 1q2w3e4r5t6y q1w2e3r4t5y6 1a2b3c4d5e6f zaq12wsxcde3 qazwsxedcrfv
!QAZ2wsx3edc asdfghjkl123 asdfasdfasdf zxcvbnm12345 qwer1234qwer 123qwe123qwe abcd1234abcd abc123abc123 a123456789012
aa123456789a 12345678abcd 123456abcdef abcdefghijkl abcdef123456 147258369147 102030405060 !@#$%^&*()_+ 1234qwerasdf
password1234 password12345 passwordpassword P@ssw0rd1234 P@$$w0rd2024 Passw0rd!@#$ mypassword123 thisismypassword
letmein12345 welcome12345 Welcome2024!! Summer2026!! changeme1234 Admin123456! admin@123456 adminadminadmin root12345678
test12345678 unknown12345 computer12345 google123456 iloveyou1234 iloveyouforever trustno1trustno1 superman1234
dragon123456 monkey123456 football1234 liverpool123 michael12345 michaeljordan charlie123456 qwerty123456 123456qwerty
woaini123456 woaini1314520 5201314520131 1314520woaini wang19900101 zhangwei1988 19880808wang 我爱你我爱你我爱你我爱你
密码密码密码123456 zhiyin2026!!! Zhiyin@12345 kefu12345678
""",
)


@pytest.mark.parametrize("password", KNOWN)
def test_what_everybody_takes_is_refused(password: str) -> None:
    assert guessable(password), worth(password)


def test_thousands_of_them_follow_from_how_they_are_made() -> None:
    tails = ("12345", "2026!", "5201314", "@123")
    made = {
        spelled
        for word, tail in itertools.product(sorted(WORDS), tails)
        for spelled in (word.capitalize() + tail, tail + word, word * 2 + tail)
        if len(spelled) >= 12
    }
    assert len(made) > 3000
    assert [each for each in made if not guessable(each)] == []


@pytest.mark.parametrize(
    "password", ["lilei19900101", "LiLei@2026!!", "2026lileililei", "hanmeimei1234", "li.lei.1990!!"]
)
def test_the_owners_names_are_worth_little(password: str) -> None:
    assert guessable(password, ("li.lei", "Han Meimei", "lilei"))


@pytest.mark.parametrize(
    "password",
    ["correct horse battery", "kX9$mQ2vLp7Z", "新的密码很安全的因为它很长", "my cat sleeps at noon", "x1y2z3w4v5u6"],
)
def test_what_has_enough_of_its_own_is_taken(password: str) -> None:
    assert not guessable(password, ("lilei", "李雷"))


@given(st.text(max_size=60))
def test_a_password_is_never_worth_more_than_it_is_long(password: str) -> None:
    assert 0 <= worth(password) <= len(password.casefold())
