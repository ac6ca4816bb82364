import pytest

from services.business.actions.results import as_text, describe, pause_before


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("one\ntwo"), "ValueError: one"),
        (ValueError(), "ValueError"),
        (ValueError("a\x00b"), "ValueError: a b"),
        (ValueError("x" * 1000), "ValueError: " + "x" * 188),
    ],
)
def test_an_error_is_one_short_printable_line(error: Exception, said: str) -> None:
    assert describe(error) == said


def test_pauses_double_up_to_the_longest() -> None:
    for attempts, longest in ((1, 2), (2, 4), (3, 8), (4, 10), (1000, 10)):
        assert longest / 2 <= pause_before(attempts, 2.0, 10.0).total_seconds() <= longest


def test_a_payload_can_be_stored_whatever_is_in_it() -> None:
    assert as_text({"a": "\ud800"}) == '{"a": "?"}'
    assert len(as_text({"a": "x" * 100_000})) == 20_000
