"""A decision tree trained on past decisions, written as a table in the JDM format with a description beside it.

The tree is kept small enough to be read: a few levels, leaves that many decisions stand behind, and branches that
decide alike taken together. Its limits are moved to the roundest number that parts the same decisions. A row is a way
from the root to a leaf, so that rows do not overlap and leave nothing out; their order does not matter.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split  # type: ignore[import-untyped]
from sklearn.tree import DecisionTreeClassifier  # type: ignore[import-untyped]

from services.learning.rules.decisions import Decisions, DecisionsError, Scalar
from shared.assistants.rules import Value

__all__ = ["Learned", "learn"]

FEWEST = 20
HELD_OUT = 0.2
MAX_EXAMPLES = 20
FIXED = 0
"""The seed: the same decisions give the same table."""


@dataclass(frozen=True)
class Learned:
    """A table and its description as they are written to files, and how good it is on decisions it has not seen."""

    table: dict[str, Any]
    description: dict[str, Any]
    rows: int
    trained: int
    held_out: int
    right: int
    usual: Scalar
    """The outcome that is most frequent, and `usually`, how many of the held-out decisions have it."""
    usually: int


class _Split(NamedTuple):
    """A question: whether a fact is a value, is at most a number, or, `under`, is less than it."""

    fact: str
    value: Scalar | Decimal
    under: bool
    yes: "_Branch"
    no: "_Branch"


class _Leaf(NamedTuple):
    outcome: Scalar


_Branch = _Split | _Leaf


@dataclass(frozen=True)
class _Range:
    """What is left of a fact's values on the way to a leaf: limits with whether they belong to it, or values."""

    low: tuple[Decimal, bool] | None = None
    high: tuple[Decimal, bool] | None = None
    only: Scalar | None = None
    without: tuple[Scalar, ...] = ()


def learn(decisions: Decisions, name: str, outcome: str, *, depth: int, leaf: int) -> Learned:
    """Trains a tree of at most `depth` questions in a row, with at least `leaf` decisions behind each answer.

    Raises:
        DecisionsError: there are too few decisions, or all are the same.
    """
    if len(decisions.rows) < FEWEST:
        left = f"; {decisions.incomplete} are incomplete" if decisions.incomplete else ""
        raise DecisionsError(f"{len(decisions.rows)} decisions are too few to learn from; {FEWEST} are needed{left}")
    counted = Counter(decisions.outcomes)
    if len(counted) < 2:
        raise DecisionsError(f"all decisions are {decisions.outcomes[0]!r}; there is nothing to learn")
    columns = list(_columns(decisions))
    inputs = np.array([[_number(row, *column) for column in columns] for row in decisions.rows], dtype=np.float64)
    answers = np.array([str(each) for each in decisions.outcomes])
    seen, held = train_test_split(
        np.arange(len(answers)),
        test_size=HELD_OUT,
        random_state=FIXED,
        stratify=answers if min(counted.values()) > 1 and len(answers) * HELD_OUT >= len(counted) else None,
    )
    model = DecisionTreeClassifier(max_depth=depth, min_samples_leaf=leaf, random_state=FIXED)
    model.fit(inputs[seen], answers[seen])
    known = {str(each): each for each in counted}
    root = _Reader(model, columns, inputs[seen], known).branch(0, np.arange(len(seen)))
    usual = counted.most_common(1)[0][0]
    rows = list(_rows(root, {}))
    return Learned(
        table=_table(rows, decisions, root, name, outcome),
        description=_description(rows, decisions, root, outcome),
        rows=len(rows),
        trained=len(seen),
        held_out=len(held),
        right=sum(_decide(root, decisions.rows[each]) == decisions.outcomes[each] for each in held),
        usual=usual,
        usually=sum(decisions.outcomes[each] == usual for each in held),
    )


def _columns(decisions: Decisions) -> Iterator[tuple[str, Scalar | None]]:
    """What the tree sees: a number as it is, of other facts whether they are each of their values."""
    for fact, value in decisions.facts.items():
        if value.one_of is None and value.type in ("integer", "number"):
            yield fact, None
        elif value.type == "boolean" and value.one_of is None:
            yield fact, True
        else:
            for each in value.one_of or sorted({row[fact] for row in decisions.rows}, key=str):
                yield fact, each


def _number(row: dict[str, Scalar], fact: str, value: Scalar | None) -> float:
    return float(row[fact] if value is None else row[fact] == value)


class _Reader:
    """Reads the tree that was trained, with the inputs that it was trained on."""

    def __init__(
        self,
        model: DecisionTreeClassifier,
        columns: Sequence[tuple[str, Scalar | None]],
        inputs: NDArray[np.float64],
        outcomes: dict[str, Scalar],
    ) -> None:
        self._tree, self._classes = model.tree_, model.classes_
        self._columns, self._inputs, self._outcomes = columns, inputs, outcomes

    def branch(self, node: int, members: NDArray[np.intp]) -> _Branch:
        """A node and what is below it; `members` are the decisions that came there."""
        left, right = int(self._tree.children_left[node]), int(self._tree.children_right[node])
        if left < 0:
            return _Leaf(self._outcomes[str(self._classes[int(np.argmax(self._tree.value[node][0]))])])
        place = int(self._tree.feature[node])
        fact, value = self._columns[place]
        values = self._inputs[members, place]
        below = values <= self._tree.threshold[node]
        under, over = self.branch(left, members[below]), self.branch(right, members[~below])
        if isinstance(under, _Leaf) and under == over:
            return under
        if value is not None:
            return _Split(fact, value, False, over, under)
        limit, strictly = _roundest(Decimal(str(values[below].max())), Decimal(str(values[~below].min())))
        return _Split(fact, limit, strictly, under, over)


def _roundest(low: Decimal, high: Decimal) -> tuple[Decimal, bool]:
    """The number with the fewest digits that parts `low` from `high`, and whether `low` is less than it or at most."""
    middle = (low + high) / 2
    for exponent in range(13, -13, -1):
        unit = Decimal(1).scaleb(exponent)
        near = (middle / unit).to_integral_value("ROUND_HALF_EVEN") * unit
        for candidate in sorted((near, near - unit, near + unit), key=lambda each: (abs(each - middle), each)):
            if low <= candidate < high:
                return candidate, False
            if candidate == high:
                return candidate, True
    return low, False


def _decide(branch: _Branch, row: dict[str, Scalar]) -> Scalar:
    while isinstance(branch, _Split):
        branch = branch.yes if _holds(branch, row[branch.fact]) else branch.no
    return branch.outcome


def _holds(split: _Split, value: Scalar) -> bool:
    if not isinstance(split.value, Decimal):
        return value == split.value
    number = Decimal(str(value))
    return number < split.value if split.under else number <= split.value


def _rows(branch: _Branch, so_far: dict[str, _Range]) -> Iterator[tuple[dict[str, _Range], Scalar]]:
    """Every way from the root to a leaf."""
    if isinstance(branch, _Leaf):
        yield so_far, branch.outcome
        return
    before = so_far.get(branch.fact, _Range())
    if isinstance(branch.value, Decimal):
        yes = replace(before, high=(branch.value, not branch.under))
        no = replace(before, low=(branch.value, branch.under))
    else:
        yes = replace(before, only=branch.value)
        no = replace(before, without=(*before.without, branch.value))
    yield from _rows(branch.yes, {**so_far, branch.fact: yes})
    yield from _rows(branch.no, {**so_far, branch.fact: no})


def _cell(left: _Range | None, value: Value) -> str:
    """A range as a cell of the table says it."""
    if left is None:
        return ""
    if value.type == "boolean" and value.one_of is None:
        return _literal(left.only is not None)
    if left.only is not None:
        return _literal(left.only)
    if left.without:
        rest = [each for each in value.one_of or () if each not in left.without]
        if rest:
            return ", ".join(_literal(each) for each in rest)
        return f"not in [{', '.join(_literal(each) for each in left.without)}]"
    limits = []
    if left.low is not None:
        limits.append(f"{'>=' if left.low[1] else '>'} {_figure(left.low[0])}")
    if left.high is not None:
        limits.append(f"{'<=' if left.high[1] else '<'} {_figure(left.high[0])}")
    return " and ".join(limits)


def _literal(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        if "'" in value and '"' in value:
            raise DecisionsError(f"{value!r} has both kinds of quotes, so that no table can name it")
        return f'"{value}"' if "'" in value else f"'{value}'"
    return _figure(Decimal(str(value)))


def _figure(number: Decimal) -> str:
    return f"{number.normalize():f}"


def _asked(branch: _Branch) -> set[str]:
    if isinstance(branch, _Leaf):
        return set()
    return {branch.fact} | _asked(branch.yes) | _asked(branch.no)


def _within(ways: dict[str, _Range], row: dict[str, Scalar]) -> bool:
    for fact, left in ways.items():
        value = row[fact]
        if (left.only is not None and value != left.only) or value in left.without:
            return False
        for limit, above in ((left.low, True), (left.high, False)):
            if limit is not None:
                number = Decimal(str(value))
                if number == limit[0]:
                    if not limit[1]:
                        return False
                elif (number > limit[0]) != above:
                    return False
    return True


Ways = list[tuple[dict[str, _Range], Scalar]]


def _table(rows: Ways, decisions: Decisions, root: _Branch, name: str, outcome: str) -> dict[str, Any]:
    facts = [fact for fact in decisions.facts if fact in _asked(root)] or list(decisions.facts)[:1]
    written = []
    for number, (ways, answer) in enumerate(rows, start=1):
        behind = [
            decided for row, decided in zip(decisions.rows, decisions.outcomes, strict=True) if _within(ways, row)
        ]
        share = round(100 * behind.count(answer) / len(behind)) if behind else 0
        cells = {f"in-{fact}": _cell(ways.get(fact), decisions.facts[fact]) for fact in facts}
        note = f"{len(behind)} 个以往决定，{share}% 一致 / {len(behind)} past decisions, {share}% agree"
        written.append({"_id": f"row-{number}", "_description": note, **cells, f"out-{outcome}": _literal(answer)})
    node = {
        "id": "table",
        "type": "decisionTableNode",
        "name": name.replace("_", " ").capitalize(),
        "position": {"x": 380, "y": 160},
        "content": {
            "hitPolicy": "first",
            "inputs": [{"id": f"in-{fact}", "name": fact, "field": fact} for fact in facts],
            "outputs": [{"id": f"out-{outcome}", "name": outcome, "field": outcome}],
            "rules": written,
        },
    }
    return {
        "contentType": "application/vnd.gorules.decision",
        "nodes": [
            {"id": "request", "type": "inputNode", "name": "Request", "position": {"x": 80, "y": 160}},
            node,
            {"id": "answer", "type": "outputNode", "name": "Answer", "position": {"x": 720, "y": 160}},
        ],
        "edges": [
            {"id": "request-table", "type": "edge", "sourceId": "request", "targetId": "table"},
            {"id": "table-answer", "type": "edge", "sourceId": "table", "targetId": "answer"},
        ],
    }


def _description(rows: Ways, decisions: Decisions, root: _Branch, outcome: str) -> dict[str, Any]:
    """The facts that the table asks, and of each row a past decision that it agrees with."""
    asked = _asked(root) or set(list(decisions.facts)[:1])
    examples = []
    for ways, answer in rows[:MAX_EXAMPLES]:
        for row, decided in zip(decisions.rows, decisions.outcomes, strict=True):
            if decided == answer and _within(ways, row):
                facts = {fact: value for fact, value in row.items() if fact in asked}
                examples.append({"facts": facts, "gives": {outcome: answer}})
                break
    return {
        "facts": {fact: _described(value) for fact, value in decisions.facts.items() if fact in asked},
        "gives": {outcome: _described(decisions.outcome)},
        "examples": examples,
    }


def _described(value: Value) -> dict[str, Any]:
    said = value.model_dump(exclude_defaults=True)
    return {key: int(each) if isinstance(each, float) and each.is_integer() else each for key, each in said.items()}
