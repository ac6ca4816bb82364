from pathlib import Path

import pytest

from services.learning.rules.decisions import DecisionsError, read_decisions
from shared.assistants.rules import RuleDescription, Value

LINES = """\
id,kind,days,amount,member,outcome
c1,late,3,10.50,true,yes
c2,broken,4,7,FALSE,no
"""
MANY = LINES + "".join(f"d{place},late,5,1.25,true,yes\n" for place in range(30))


def file(folder: Path, text: str | bytes) -> Path:
    path = folder / "decisions.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_columns_are_typed_as_they_look(tmp_path: Path) -> None:
    found = read_decisions(file(tmp_path, MANY), "outcome", None)
    assert found.facts == {
        "kind": Value(one_of=["broken", "late"]),
        "days": Value(type="integer", least=0),
        "amount": Value(type="number", least=0, step=0.01),
        "member": Value(type="boolean"),
    }
    assert found.outcome == Value(one_of=["no", "yes"])
    assert found.ignored == {"id": "more than 20 different texts"}
    assert found.rows[1] == {"kind": "broken", "days": 4, "amount": 7, "member": False}
    assert found.outcomes[:2] == ["yes", "no"]


def test_a_description_types_them(tmp_path: Path) -> None:
    described = RuleDescription.model_validate(
        {
            "facts": {"kind": {"one_of": ["late", "lost"]}, "days": "number", "other": "text"},
            "gives": {"outcome": {"one_of": ["yes", "no", "maybe"]}},
        }
    )
    found = read_decisions(file(tmp_path, MANY), "outcome", described)
    assert found.facts == {"kind": described.facts["kind"], "days": described.facts["days"]}
    assert found.outcome == described.gives["outcome"]
    assert found.incomplete == 1, "broken is no kind"
    assert found.ignored["amount"] == "the description does not have it"


def test_only_the_facts_that_are_asked_for(tmp_path: Path) -> None:
    found = read_decisions(file(tmp_path, MANY), "outcome", None, ["days"])
    assert list(found.facts) == ["days"]
    assert found.ignored["amount"] == "not asked for"
    with pytest.raises(DecisionsError, match="no column 'dayz'"):
        read_decisions(file(tmp_path, MANY), "outcome", None, ["dayz"])


def test_rows_with_a_value_missing_are_left_out(tmp_path: Path) -> None:
    found = read_decisions(file(tmp_path, MANY + "x,late,,1,true,yes\nx,late,1,1,true,\n\n"), "outcome", None)
    assert found.incomplete == 2
    assert len(found.rows) == 32


def test_other_systems_files(tmp_path: Path) -> None:
    written = b"\xef\xbb\xbf" + 'kind,outcome\r\n"迟到, 两天",可以\r\n"it\'s broken",不行\r\n'.encode()
    found = read_decisions(file(tmp_path, written), "outcome", None)
    assert [row["kind"] for row in found.rows] == ["迟到, 两天", "it's broken"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no decisions"),
        ("a,outcome\n", "no decisions"),
        (b"\xff\xfea", "not UTF-8"),
        ('a,outcome\n"1,2\n', "not CSV"),
        ("a,a,outcome\n1,2,3\n", "two columns 'a'"),
        ("a,outcome\n1,2,3\n", "decision 1 has 3 values, and there are 2"),
        ("a,b\n1,2\n", "no column 'outcome'; it has a, b"),
        ("状态,outcome\n1,2\n", "a name has letters, digits and _ only"),
        ("a,outcome\n,yes\n", "a: it is empty"),
        ("a,outcome\n" + "".join(f"1,t{each}\n" for each in range(50)), "more than 20 different texts"),
        ("a,outcome\n" + "".join(f"1,{each}\n" for each in range(50)), "more than 20 values"),
    ],
)
def test_what_is_nothing_to_learn_from_is_said(tmp_path: Path, text: str | bytes, said: str) -> None:
    with pytest.raises(DecisionsError) as caught:
        read_decisions(file(tmp_path, text), "outcome", None)
    assert said in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DecisionsError, match="cannot be read: No such file"):
        read_decisions(tmp_path / "none.csv", "outcome", None)
