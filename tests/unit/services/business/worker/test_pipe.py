import os

import pytest

from services.business.worker.pipe import Beat, Done, Pipe, read_line


@pytest.mark.parametrize("what", [Beat(received=7, active=2), Done(name="refund", outcome="succeeded", seconds=0.0123)])
def test_what_is_sent_is_received(what: Beat | Done) -> None:
    reading, writing = os.pipe()

    assert Pipe(writing).send(what)

    os.close(writing)
    with os.fdopen(reading, "rb") as lines:
        assert [read_line(line) for line in lines] == [what]


@pytest.mark.parametrize("line", [b"", b"\n", b"{", b"{}", b'{"kind": "beat"}', b'{"kind": "song"}', b"\xff"])
def test_what_is_not_understood_is_nothing(line: bytes) -> None:
    assert read_line(line) is None


def test_a_pipe_that_nobody_reads_says_so() -> None:
    reading, writing = os.pipe()
    os.close(reading)

    assert not Pipe(writing).send(Beat(received=0, active=0))
    os.close(writing)


def test_a_reader_that_is_behind_holds_nobody_up() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    pipe = Pipe(writing)

    assert all(pipe.send(Beat(received=number, active=0)) for number in range(10_000))

    os.close(reading)
    os.close(writing)
