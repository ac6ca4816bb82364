"""`zhiyin rules`: show a rule as a table, try it, learn one from past decisions."""

import json
from collections.abc import Iterable
from pathlib import Path

import yaml
from pydantic import JsonValue
from rich.table import Table as Shown
from rich.text import Text

from cli.console import err, harmless, out, write_json
from cli.errors import CommandError, UsageError
from services.business.rules.check import check_set, read_sources
from services.business.rules.graph import NAME, Table
from services.business.rules.rule_set import Rule, RuleSet, Undecided, nested, read_rule_set
from shared.assistants.rules import RuleDescription, Value
from shared.assistants.yaml_source import Mistakes, did_you_mean, read_documents

__all__ = ["learn", "show", "try_out"]

OTHER_NODES = {"switchNode": "ways", "expressionNode": "expressions", "decisionNode": "another rule"}


def show(assistant: Path, name: str | None) -> None:
    """Prints a rule's tables as a person reads them, or, without a name, which rules there are.

    Raises:
        CommandError: the rule has mistakes, which are printed.
    """
    rules = opened(assistant, name)
    if name is None:
        for each, rule in rules.rules.items():
            out.print(harmless(f"{each}: {facts_of(rule) or 'no description'}"), markup=False, soft_wrap=True)
        return
    graph = rules.rules[name].graph
    for table in graph.tables.values():
        out.print(shown(table))
    if graph.single is None:
        others = [node for node in graph.content["nodes"] if node["type"] in OTHER_NODES]
        for node in others:
            what = json.dumps(node.get("content"), ensure_ascii=False)
            text = f"{node.get('name') or node['id']} ({OTHER_NODES[node['type']]}): {what}"
            out.print(harmless(text), markup=False, soft_wrap=True)


def shown(table: Table) -> Shown:
    """A decision table for the terminal."""
    order = "the first row that matches counts" if table.first else "every row that matches counts"
    page = Shown(title=harmless(f"{table.name}: {order}"), title_justify="left")
    page.add_column("", justify="right")
    for column in table.inputs:
        page.add_column(Text(harmless(column.label)))
    for column in table.outputs:
        page.add_column(Text(harmless(f"→ {column.label}"), style="bold"))
    page.add_column("")
    for row in table.rows:
        cells = [Text(harmless(row.cell(column))) for column in (*table.inputs, *table.outputs)]
        page.add_row(str(row.number), *cells, Text(harmless(row.note), style="dim"))
    return page


def try_out(assistant: Path, name: str, given: Iterable[str], *, as_json: bool) -> None:
    """Prints what a rule gives for facts, each as `key=value`, and which rows decided.

    Raises:
        CommandError: the rule says nothing for them.
        UsageError: there is no such rule, or a fact is none.
    """
    rules = opened(assistant, name)
    description = rules.rules[name].description
    described = description.facts if description else {}
    facts: dict[str, JsonValue] = {}
    for each in given:
        fact, mark, text = each.partition("=")
        if not mark or not fact:
            raise UsageError(f"A fact is written as days=3, and not {each!r}.")
        if described and fact not in described:
            known = did_you_mean(fact, described) or f"; there are {', '.join(described)}"
            raise UsageError(f"The rule {name} has no fact {fact!r}{known}.")
        facts[fact] = fact_value(text, described.get(fact))
    try:
        result, rows = rules.explain(name, nested(facts))
    except Undecided as error:
        raise CommandError(f"Undecided: {error}.") from None
    if as_json:
        decided = [
            {"rule": each.rule, "table": each.table.name, "row": each.row.number, "note": each.row.note}
            for each in rows
        ]
        write_json({"result": result, "rows": decided})
        return
    for field, value in result.items():
        out.print(harmless(f"{field}: {json.dumps(value, ensure_ascii=False)}"), markup=False, soft_wrap=True)
    for _, table, row in rows:
        note = f" ({row.note})" if row.note else ""
        text = f"by row {row.number} of {table.name}{note}"
        out.print(harmless(text), markup=False, soft_wrap=True)


def learn(
    assistant: Path, name: str, decisions: Path, *, outcome: str, only: list[str], depth: int, leaf: int, replace: bool
) -> None:
    """Writes a table learned from past decisions, and its description where there is none.

    Raises:
        CommandError: the table would not pass the check.
        UsageError: there is a table of this name, which is not to be replaced, or this can be no name.
    """
    from services.learning.rules.decisions import read_decisions

    folder = assistant / "rules"
    table, description = folder / f"{name}.json", folder / f"{name}.yml"
    if not NAME.fullmatch(name):
        raise UsageError(f"A rule's name has small letters, digits and _, as refund, and not {name!r}.")
    if table.exists() and not replace:
        raise UsageError(f"{table} is there already; --replace writes over it.")
    mistakes = Mistakes()
    described = None
    if description.exists():
        for document in read_documents(description, str(description), mistakes)[:1]:
            described = document.parse(RuleDescription, mistakes)
        mistakes.raise_if_any()
    past = read_decisions(decisions, outcome, described, only)
    from services.learning.rules.decision_tree import learn as train  # takes long to import, so after what can fail

    learned = train(past, name, outcome, depth=depth, leaf=leaf)
    written = {table.name: f"{json_text(learned.table)}\n".encode()}
    if described is None:
        head = f"# What rules/{name}.json is given and what it gives; `zhiyin check` holds the examples.\n"
        text = yaml.safe_dump(learned.description, allow_unicode=True, sort_keys=False, width=110)
        written[description.name] = (head + text).encode()
    rules = read_rule_set({**read_sources(folder, mistakes), **written}, str(folder), mistakes)
    check_set(rules, mistakes, [])
    own = [line for line in mistakes.found if line.startswith((str(table), str(description)))]
    if own:
        raise CommandError("The table would not pass the check:\n" + "\n".join(harmless(line) for line in own))
    folder.mkdir(exist_ok=True)
    for file, source in written.items():
        (folder / file).write_bytes(source)
    for column, why in past.ignored.items():
        err.print(harmless(f"{column} is not learned from: {why}"), markup=False, soft_wrap=True)
    if past.incomplete:
        err.print(f"{past.incomplete} decisions are left out: a value is missing or cannot be read.")
    out.print(
        f"{learned.rows} rows from {learned.trained} past decisions. Of {learned.held_out} others the table decides "
        f"{learned.right} as people did ({learned.right / learned.held_out:.1%}); {harmless(str(learned.usual))!r} for "
        f"all would be {learned.usually / learned.held_out:.1%}.",
        markup=False,
        soft_wrap=True,
    )
    err.print(f"[green]✓[/] {table} is written; read it and change it: `zhiyin rules show`.", soft_wrap=True)


def opened(assistant: Path, name: str | None) -> RuleSet:
    """The rules of an assistant; the one that is named can be used."""
    folder = assistant / "rules"
    mistakes = Mistakes()
    rules = read_rule_set(read_sources(folder, mistakes), str(folder), mistakes)
    if name is not None and name not in rules.rules:
        own = [
            line
            for line in mistakes.found
            if line.startswith((str(folder / f"{name}.json"), str(folder / f"{name}.yml")))
        ]
        if own:
            raise CommandError("\n".join(harmless(line) for line in own))
        known = did_you_mean(name, rules.rules) or f"; there are {', '.join(rules.rules) or 'none'}"
        raise UsageError(f"There is no rule {name!r}{known}.")
    return rules


def facts_of(rule: Rule) -> str:
    """What a rule is given and gives, in a line."""
    if rule.description is None:
        return ""
    return f"{', '.join(rule.description.facts)} → {', '.join(rule.description.gives)}"


def fact_value(text: str, value: Value | None) -> JsonValue:
    """What was typed, as the fact's description takes it: a text without quotes, a number, true or false."""
    if value is not None and (value.type == "text" or text in (value.one_of or ())):
        return text
    try:
        found: JsonValue = json.loads(text)
    except ValueError:
        return text
    return found


def json_text(value: object, indent: str = "") -> str:
    """JSON in which an object without parts, such as a table's row, is a line, so that changes can be read."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if not any(isinstance(part, dict | list) and part for part in parts):
        return json.dumps(value, ensure_ascii=False)
    deeper = f"{indent}  "
    if isinstance(value, dict):
        lines = [f"{json.dumps(key, ensure_ascii=False)}: {json_text(part, deeper)}" for key, part in value.items()]
    else:
        lines = [json_text(part, deeper) for part in parts]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}\n" + ",\n".join(f"{deeper}{line}" for line in lines) + f"\n{indent}{closing}"
