from pathlib import Path
from typing import Any

import pytest

from cli.recordings import Exchange, Recording, read_recordings, write_recordings
from shared.assistants.yaml_source import Mistakes


def recorded(folder: Path, text: str) -> tuple[dict[str, Recording], list[str]]:
    """The answers in one conversation, `first`."""
    (folder / "connectors" / "recorded").mkdir(parents=True)
    (folder / "connectors" / "core.yml").write_text("connector: core\n", encoding="utf-8")
    (folder / "connectors" / "recorded" / "core.yml").write_text(text, encoding="utf-8")
    mistakes = Mistakes()
    return read_recordings(folder, mistakes).during("first"), mistakes.found


def body(recording: Recording, line: str, sent: Any = None) -> Any:
    found = recording.answer(line, sent)
    return None if found is None else found.body


def test_a_request_that_is_made_again_gets_the_next_answer_and_then_the_last(tmp_path: Path) -> None:
    found, _ = recorded(tmp_path, "recorded: [{request: GET /a, answers: [{body: 1}, {body: 2}]}]")
    assert [body(found["core"], "GET /a") for _ in range(3)] == [1, 2, 2]
    assert body(found["core"], "GET /b") is None


def test_what_is_special_comes_before_what_is_general(tmp_path: Path) -> None:
    found, mistakes = recorded(
        tmp_path,
        """
recorded:
- {request: 'GET /a/*?x=*', answer: {body: any}}
- {request: POST /b, answer: {body: plain}}
- {request: POST /b, body: {kind: 1}, answer: {body: kind}}
- {request: GET /c, answer: {body: all}}
- {request: GET /c, conversation: first, answer: {body: own}}
- {request: GET /c, conversation: second, answer: {body: other}}
""",
    )
    assert mistakes == []
    core = found["core"]
    assert (body(core, "GET /a/7?x=3"), body(core, "GET /a/7?x=3&y=1")) == ("any", None)
    assert (body(core, "POST /b", {"kind": 1, "more": 2}), body(core, "POST /b", {"kind": 2})) == ("kind", "plain")
    assert body(core, "GET /c") == "own"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("recorded: [{request: FETCH /a, answer: {}}]", "core.yml:1: recorded.0.request: a request is a method"),
        ("recorded: [{request: GET /a}]", "core.yml:1: 'answers' is missing"),
        ("recorded:\n- {request: GET /a, answer: {staus: 1}}", "core.yml:2: 'staus' is not known here"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    _, mistakes = recorded(tmp_path, text)
    assert any(said in each for each in mistakes), mistakes


def test_what_was_heard_is_written_once_and_apart_where_it_differed(tmp_path: Path) -> None:
    (tmp_path / "connectors").mkdir()
    (tmp_path / "connectors" / "core.yml").write_text("connector: core\n", encoding="utf-8")

    def heard(path: str, *answers: Any) -> list[Exchange]:
        return [Exchange.of("core", "GET", path, body=None, status=200, answer=each) for each in answers]

    gone = Exchange.of("core", "GET", "/c", body=None, status=0, answer=None, failure="refused")
    exchanges = {
        "first": [*heard("/a?y=1&x=2", 1), *heard("/b", 1, 2, 2)],
        "second": heard("/a?x=2&y=1", 1),
        "third": [*heard("/a?x=2&y=1", 3), gone],
    }
    assert write_recordings(tmp_path, exchanges) == [tmp_path / "connectors" / "recorded" / "core.yml"]
    mistakes = Mistakes()
    recordings = read_recordings(tmp_path, mistakes)
    assert mistakes.found == []
    first, third = (recordings.during(name)["core"] for name in ("first", "third"))
    assert body(first, "GET /a?x=2&y=1") == 1
    assert [body(first, "GET /b") for _ in range(3)] == [1, 2, 2]
    assert body(third, "GET /a?x=2&y=1") == 3
    nothing = third.answer("GET /c", None)
    assert nothing is not None
    assert nothing.fails
    text = (tmp_path / "connectors" / "recorded" / "core.yml").read_text(encoding="utf-8")
    assert text.count("GET /a") == 2
