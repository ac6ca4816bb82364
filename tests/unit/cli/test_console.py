import io
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.console import harmless, prepare_streams


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("订单 20261103001\n好的\tok", "订单 20261103001\n好的\tok"),
        ("a\x1b[31mb\x1b[0m", "ab"),
        ("a\x1b]0;title\x07b\x1b]8;;http://x\x1b\\c", "abc"),
        ("a\x1bPq#0\x1b\\b", "ab"),
        ("a\x1bcb\x1b(0c", "abc"),
        ("a\x9b2Jb", "ab"),
        ("a\x07\x08\r\x7fb", "ab"),
        ("\u202eabc\u2066", "abc"),
        ("👨‍👩‍👧 é", "👨‍👩‍👧 é"),
        ("\x1b", ""),
        ("\x1b[", ""),
    ],
)
def test_words_stay_and_commands_to_the_terminal_go(text: str, shown: str) -> None:
    assert harmless(text) == shown


@given(st.text(st.one_of(st.sampled_from("\x1b\x9b[]P\\;0mJc\x07"), st.characters()), max_size=40))
def test_nothing_that_begins_a_command_is_left(text: str) -> None:
    assert not {"\x1b", "\x9b", "\x07", "\r"} & set(harmless(text))


def test_streams_that_are_closed_are_empty_and_what_cannot_be_written_is_a_mark(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdin", None)
    monkeypatch.setattr("sys.stderr", None)
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, encoding="ascii"))
    prepare_streams()
    assert sys.stdin.read() == ""
    sys.stderr.write("nobody reads this")
    sys.stdout.write("知音 ok")
    sys.stdout.flush()
    assert written.getvalue() == b"?? ok"
    for stream in (sys.stdin, sys.stderr):
        stream.close()
