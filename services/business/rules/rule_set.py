"""The rules of a folder as one thing that decides: graphs that call one another, and what is said of them."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from graphlib import CycleError, TopologicalSorter
from pathlib import PurePath
from typing import Any, NamedTuple

from pydantic import JsonValue

from services.business.rules.expression_text import first_line
from services.business.rules.graph import MAX_ITEMS, Graph, Row, Table, engine_for, read_graph
from shared.assistants.expressions import resolve
from shared.assistants.rules import RuleDescription
from shared.assistants.yaml_source import Document, Mistakes, did_you_mean, yaml_documents
from shared.errors import ConfigurationError, ZhiyinError

__all__ = ["Decided", "Rule", "RuleSet", "RulesError", "Undecided", "nested", "read_rule_set"]

MAX_RULES = 200
MAX_FACTS = 32_000
MAX_RESULT = 64_000
MAX_DEPTH = 5
"""Decisions that may be called within one another."""
MAX_NODES_CALLED = 500
MAX_STEPS = 5_000_000
MAX_GROWTH = 16
"""Doublings of what is joined with itself."""
MAX_DESCRIPTION = 256_000


class RulesError(ConfigurationError):
    """Rules cannot be used; the message says which file, where and why."""


class Undecided(ZhiyinError):
    """No rule says anything for these facts, or nothing usable, so that a person has to look.

    The message says why, with facts in it: it is for whoever writes rules, not for logs and not for customers.
    """


class Decided(NamedTuple):
    """A row that decided."""

    rule: str
    table: Table
    row: Row


@dataclass(frozen=True)
class Rule:
    """One rule: its graph, and its description with the place where it stands, if it has one."""

    graph: Graph
    description: RuleDescription | None
    document: Document | None


class RuleSet:
    """Rules that were read and whose calls of one another lead somewhere; `rules` are they by name."""

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        self.rules = dict(rules)
        self._engine = engine_for({name: rule.graph.content for name, rule in rules.items()})

    def decide(self, name: str, facts: Mapping[str, Any]) -> dict[str, Any]:
        """What a rule gives for facts; what all rows of a table give, where it collects them, stands in `results`.

        Raises:
            Undecided: there is no such rule, its facts are none, or it says nothing usable for them.
        """
        return self._result(name, facts, trace=False)[0]

    def explain(self, name: str, facts: Mapping[str, Any]) -> tuple[dict[str, Any], list[Decided]]:
        """What `decide` gives, with the rows that decided, in their order."""
        result, trace = self._result(name, facts, trace=True)
        return result, list(self._decided(name, trace))

    def called_by(self, name: str) -> Iterator[Graph]:
        """A rule's graph and those of all that it calls."""
        waiting, seen = [name], set()
        while waiting:
            if (each := waiting.pop()) not in seen:
                seen.add(each)
                yield self.rules[each].graph
                waiting += self.rules[each].graph.calls.values()

    def _result(self, name: str, facts: Mapping[str, Any], *, trace: bool) -> tuple[dict[str, Any], dict[str, Any]]:
        rule = self.rules.get(name)
        if rule is None:
            raise Undecided(f"there is no rule {name!r}{did_you_mean(name, self.rules)}")
        self._check_facts(name, rule.description, facts)
        try:
            given = json.dumps(facts, default=_number, allow_nan=False)
        except (ValueError, TypeError, RecursionError) as error:
            raise Undecided(f"the rule {name}: its facts are no JSON ({error})") from None
        if len(given) > MAX_FACTS:
            raise Undecided(f"the rule {name}: its facts have more than {MAX_FACTS} characters")
        if len(given) > 2 * MAX_ITEMS and _longest(facts) > MAX_ITEMS:
            raise Undecided(f"the rule {name}: a list among its facts has more than {MAX_ITEMS} items")
        # Not `evaluate_batch`: a forked process does not have its threads and would wait for them without end.
        try:
            answer = self._engine.evaluate(name, given, {"trace": trace, "max_depth": MAX_DEPTH})
        except Exception as error:  # the engine raises nothing more exact
            raise Undecided(f"the rule {name} cannot be evaluated: {first_line(error)}") from None
        result: Any = answer["result"]
        if isinstance(result, list):
            result = {"results": result} if result else {}
        if not isinstance(result, dict) or not result or result == facts:
            raise Undecided(f"the rule {name} says nothing for {_words(facts)}")
        self._check_result(name, rule.description, facts, result)
        return result, answer["trace"] if trace else {}

    def _check_facts(self, name: str, description: RuleDescription | None, facts: Mapping[str, Any]) -> None:
        for fact, value in description.facts.items() if description else ():
            given = facts.get(fact) if "." not in fact else resolve(facts, fact)
            if (problem := value.problem(_plain(given))) is not None:
                raise Undecided(f"the rule {name}: the fact {fact} {problem}")

    def _check_result(
        self, name: str, description: RuleDescription | None, facts: Mapping[str, Any], result: dict[str, Any]
    ) -> None:
        if len(json.dumps(result)) > MAX_RESULT:
            raise Undecided(f"the rule {name} gives more than {MAX_RESULT} characters")
        if description is None:
            return
        rows = result["results"] if list(result) == ["results"] and "results" not in description.gives else [result]
        for row in rows:
            said = row if isinstance(row, dict) else {}
            if all(said.get(field) is None for field in description.gives):
                raise Undecided(f"the rule {name} says nothing for {_words(facts)}")
            for field, value in description.gives.items():
                if (problem := value.problem(said.get(field))) is not None:
                    raise Undecided(f"the rule {name} for {_words(facts)}: its {field} {problem}")

    def _decided(self, name: str, trace: Mapping[str, Any]) -> Iterator[Decided]:
        graph = self.rules[name].graph
        for node, step in sorted(trace.items(), key=lambda each: int(each[1].get("order", 0))):
            data = step.get("traceData")
            if node in graph.calls and isinstance(data, dict):
                yield from self._decided(graph.calls[node], data)
            elif node in graph.tables:
                for hit in data if isinstance(data, list) else [data]:
                    if isinstance(hit, dict) and "index" in hit:
                        yield Decided(name, graph.tables[node], graph.tables[node].rows[hit["index"]])


def read_rule_set(sources: Mapping[str, bytes], shown: str, mistakes: Mistakes) -> RuleSet:
    """Reads rules and descriptions by their files' names; `shown` is what mistakes call their folder.

    What has a mistake is left out, and so is what calls it.
    """
    graphs: dict[str, Graph] = {}
    described: dict[str, tuple[RuleDescription, Document]] = {}
    if len(sources) > 2 * MAX_RULES:
        mistakes.add(shown, f"more than {MAX_RULES} rules")
        return RuleSet({})
    names = {PurePath(file).stem for file in sources if file.endswith(".json")}
    for file, source in sorted(sources.items()):
        name, where = PurePath(file).stem, f"{shown}/{file}"
        if file.endswith(".json"):
            graph = read_graph(name, where, source, mistakes)
            if graph is not None:
                graphs[name] = graph
        elif name not in names:
            mistakes.add(where, f"there is no rule {name}.json that this describes{did_you_mean(name, names)}")
        elif (found := _description(where, source, mistakes)) is not None:
            described[name] = found
    _check_calls(graphs, names, mistakes)
    return RuleSet({name: Rule(graph, *described.get(name, (None, None))) for name, graph in graphs.items()})


def nested(facts: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Facts with dotted names as the objects that they are parts of."""
    found: dict[str, JsonValue] = {}
    for path, value in facts.items():
        *parts, last = path.split(".")
        inner = found
        for part in parts:
            below = inner.setdefault(part, {})
            inner = below if isinstance(below, dict) else {}
        inner[last] = value
    return found


def _description(where: str, source: bytes, mistakes: Mistakes) -> tuple[RuleDescription, Document] | None:
    if len(source) > MAX_DESCRIPTION:
        mistakes.add(where, f"larger than {MAX_DESCRIPTION} bytes")
        return None
    try:
        text = source.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError:
        mistakes.add(where, "is not UTF-8 text")
        return None
    documents = yaml_documents(text, where, mistakes)
    if len(documents) != 1:
        if not any(where in line for line in mistakes.found):
            mistakes.add(where, "a rule is described by one document")
        return None
    description = documents[0].parse(RuleDescription, mistakes)
    return None if description is None else (description, documents[0])


def _check_calls(graphs: dict[str, Graph], names: set[str], mistakes: Mistakes) -> None:
    """Takes out what calls nothing, or itself in the end."""
    for graph in graphs.values():
        for called in graph.calls.values():
            if called not in names:
                mistakes.add(graph.file, f"there is no rule {called!r} to call{did_you_mean(called, names)}")
    arrows = {name: set(graph.calls.values()) for name, graph in graphs.items()}
    try:
        order = list(TopologicalSorter(arrows).static_order())
    except CycleError as circle:
        way = " → ".join(reversed(circle.args[1]))
        mistakes.add(graphs[circle.args[1][0]].file, f"rules call one another in a circle: {way}")
        order = list(graphs)
        for name in circle.args[1]:
            graphs.pop(name, None)
    depth: dict[str, int] = {}
    nodes: dict[str, int] = {}
    growth: dict[str, float] = {}
    steps: dict[str, int] = {}
    produced = {each for graph in graphs.values() for each in graph.produced}
    for name in order:
        if name in graphs:
            calls = graphs[name].calls.values()
            depth[name] = 1 + max((depth.get(called, 0) for called in calls), default=0)
            nodes[name] = graphs[name].nodes + sum(nodes.get(called, 0) for called in calls)
            growth[name] = graphs[name].growth(produced) + sum(growth.get(called, 0.0) for called in calls)
            steps[name] = graphs[name].steps(produced) + sum(steps.get(called, 0) for called in calls)
            if depth[name] > MAX_DEPTH or nodes[name] > MAX_NODES_CALLED:
                reason = f"with what it calls it has more than {MAX_DEPTH} rules in a row, or {MAX_NODES_CALLED} nodes"
                mistakes.add(graphs.pop(name).file, reason)
            elif steps[name] > MAX_STEPS:
                mistakes.add(graphs.pop(name).file, "it goes through lists within lists too often, which may take long")
            elif growth[name] > MAX_GROWTH:
                mistakes.add(
                    graphs.pop(name).file, "its expressions join results again and again: they may grow too large"
                )
    for _ in range(len(graphs)):
        for name in [each for each, graph in graphs.items() if not set(graph.calls.values()) <= graphs.keys()]:
            del graphs[name]


def _longest(value: object) -> int:
    """The items of the longest list, however deep it stands."""
    parts = list(value.values()) if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else []
    here = 0 if isinstance(value, Mapping) else len(parts)
    return max([here, *map(_longest, parts)])


def _plain(value: Any) -> JsonValue:
    return float(value) if isinstance(value, Decimal) else value


def _number(value: object) -> float:
    if isinstance(value, Decimal) and value.is_finite():
        return float(value)
    raise TypeError(f"{type(value).__name__} is no fact")


def _words(facts: Mapping[str, Any]) -> str:
    """Facts as people read them, and not too many of them."""
    said = ", ".join(f"{name}={value}" for name, value in facts.items())
    return said if len(said) <= 300 else f"{said[:300]}…"
