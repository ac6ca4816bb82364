"""One file of rules in the JDM format, read into what is checked and shown: its tables, conditions and expressions."""

import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeVar

import zen
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from services.business.rules.expression_text import Reading, first_line, read_condition, read_full
from shared.assistants.yaml_source import Mistakes
from shared.nlu.assistant_files import plain_message

__all__ = ["Column", "Graph", "Row", "Table", "engine_for", "read_graph"]

MAX_BYTES = 256_000
MAX_NODES = 50
MAX_ROWS = 500
MAX_COLUMNS = 30
MAX_EXPRESSIONS = 100
PLAIN_ID = re.compile(r'"_?id"\s*:\s*"([^"\\]{1,200})"')
MAX_ITEMS = 500
"""Items of a list among the facts."""
NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
KINDS = frozenset(("inputNode", "outputNode", "decisionTableNode", "switchNode", "expressionNode", "decisionNode"))


class _Read(BaseModel):
    """What is in a file, with the fields that we know; editors add their own."""

    model_config = ConfigDict(extra="ignore", frozen=True)


Text = Annotated[str, BeforeValidator(lambda value: "" if value is None else value)]


class _Node(_Read):
    id: str
    type: str
    name: Text = ""
    content: Any = None


class _Edge(_Read):
    source: str = Field(alias="sourceId")
    target: str = Field(alias="targetId")


class _Document(_Read):
    nodes: Annotated[list[_Node], Field(min_length=1, max_length=MAX_NODES)]
    edges: Annotated[list[_Edge], Field(max_length=4 * MAX_NODES)]


class Column(_Read):
    """A column; without a field its cells are whole expressions."""

    id: str
    title: Text = Field(default="", alias="name")
    field: Text = ""

    @property
    def label(self) -> str:
        """What people call it."""
        return self.title or self.field or self.id


class _Table(_Read):
    hit: Literal["first", "collect"] = Field(default="first", alias="hitPolicy")
    inputs: Annotated[list[Column], Field(max_length=MAX_COLUMNS)]
    outputs: Annotated[list[Column], Field(min_length=1, max_length=MAX_COLUMNS)]
    rows: Annotated[list[dict[str, Text]], Field(min_length=1, max_length=MAX_ROWS, alias="rules")]
    passes: bool = Field(default=False, alias="passThrough")
    looped: Literal["single", "loop"] | None = Field(default=None, alias="executionMode")
    source: Text = Field(default="", alias="inputField")
    path: Text = Field(default="", alias="outputPath")


class _Expression(_Read):
    key: str
    value: Text = ""


class _Expressions(_Read):
    expressions: Annotated[list[_Expression], Field(max_length=MAX_EXPRESSIONS)]
    passes: bool = Field(default=False, alias="passThrough")
    source: Text = Field(default="", alias="inputField")
    path: Text = Field(default="", alias="outputPath")


class _Statement(_Read):
    id: str
    condition: Text = ""


class _Switch(_Read):
    statements: Annotated[list[_Statement], Field(max_length=MAX_EXPRESSIONS)]


class _Call(_Read):
    key: Annotated[str, Field(min_length=1)]
    path: Text = Field(default="", alias="outputPath")


ContentT = TypeVar("ContentT", bound=_Read)


@dataclass(frozen=True)
class Row:
    """A row of a table: its number from 1, what is noted beside it, its cells by columns' ids, and where it stands."""

    number: int
    note: str
    cells: dict[str, str]
    where: str

    def cell(self, column: Column) -> str:
        """What stands there; nothing means any value."""
        return self.cells.get(column.id, "").strip()


@dataclass(frozen=True)
class Table:
    """A decision table; `apart` when it reads or writes elsewhere than in the facts around it."""

    id: str
    name: str
    first: bool
    inputs: list[Column]
    outputs: list[Column]
    rows: list[Row]
    apart: bool


@dataclass
class Graph:
    """A decision: its tables, and what else it asks, produces and calls; `content` is the file for the engine."""

    name: str
    file: str
    content: dict[str, Any]
    tables: dict[str, Table] = field(default_factory=dict)
    expressions: list[tuple[str, str]] = field(default_factory=list)
    """Whole expressions, each with where it stands."""
    produced: set[str] = field(default_factory=set)
    calls: dict[str, str] = field(default_factory=dict)
    """Names of the decisions that its nodes call, by the nodes' ids."""
    nodes: int = 0

    def growth(self, produced: set[str]) -> float:
        """By how much a result may be larger than the facts, as a power of two, for texts joined again and again.

        What is made of facts alone is not counted: only what is made of `produced` names, and of `$`, can repeat.
        """
        bits = 0.0
        for table in self.tables.values():
            bits += max(sum(_bits(row.cell(column), produced) for column in table.outputs) for row in table.rows)
        return bits + sum(_bits(text, produced) for _, text in self.expressions)

    def steps(self, produced: set[str]) -> int:
        """How many steps it may take with the longest lists there may be; what is made of lists may be longer still."""
        apart = {row.where for table in self.tables.values() if table.apart for row in table.rows}
        return sum(
            MAX_ITEMS ** ((2 if any(_root(name) in produced for name in reading.names) else 1) * reading.loops)
            * (MAX_ITEMS if where in apart else 1)
            for where, _, reading in self.readings()
        )

    @property
    def single(self) -> Table | None:
        """The table, where the decision is nothing but one."""
        tables = list(self.tables.values())
        alone = len(tables) == 1 and self.nodes == 3 and not tables[0].apart
        return tables[0] if alone else None

    def readings(self) -> Iterator[tuple[str, str, Reading]]:
        """Every condition and expression that can be read: where, the field that it is about if any, the reading."""
        for table in self.tables.values():
            for row in table.rows:
                for column in (*table.inputs, *table.outputs):
                    cell = row.cell(column)
                    condition = column.field if column in table.inputs else ""
                    if (reading := _readable(read_condition if condition else read_full, cell)) is not None:
                        yield row.where, condition, reading
        for where, text in self.expressions:
            if (reading := _readable(read_full, text)) is not None:
                yield where, "", reading


def engine_for(contents: dict[str, dict[str, Any]]) -> zen.ZenEngine:
    """An engine with these decisions by name; one may call another by its name or its file's."""
    both = contents | {f"{name}.json": content for name, content in contents.items()}
    return zen.ZenEngine({"loader": {"type": "static", "content": both}})


def read_graph(name: str, file: str, source: bytes, mistakes: Mistakes) -> Graph | None:
    """Reads a file; `None` when it cannot be used at all, with the mistakes noted."""
    own = Mistakes()
    graph = _Reader(name, file, own).read(source)
    mistakes.found += own.found
    return None if own.found else graph


class _Reader:
    def __init__(self, name: str, file: str, mistakes: Mistakes) -> None:
        self._name, self._file, self._mistakes = name, file, mistakes
        self._lines: dict[str, int] = {}

    def read(self, source: bytes) -> Graph | None:
        """The graph as far as it can be read; with a mistake it cannot be used."""
        if not NAME.fullmatch(self._name):
            self._wrong("a rule's name has small letters, digits and _, as refund.json")
        if len(source) > MAX_BYTES:
            self._wrong(f"it has more than {MAX_BYTES} bytes")
            return None
        try:
            text = source.decode("utf-8-sig")
            content = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
            self._lines = _lines_of_ids(text)
            document = _Document.model_validate(content)
        except ValidationError as error:
            self._invalid("", error)
            return None
        except (ValueError, RecursionError) as error:
            self._wrong(f"it is not JSON ({error})")
            return None
        graph = Graph(self._name, self._file, content, nodes=len(document.nodes))
        for node in document.nodes:
            self._node(graph, node)
        if not self._mistakes.found:
            self._engine(graph)
        return graph

    def _engine(self, graph: Graph) -> None:
        """What the engine itself has against it: nodes without a way, circles, an input or output that is missing."""
        try:
            engine_for({graph.name: graph.content}).get_decision(graph.name).validate()
        except Exception as error:  # the engine raises nothing more exact
            self._wrong(f"the rules engine refuses it: {first_line(error)}")

    def _node(self, graph: Graph, node: _Node) -> None:
        what = f"node {node.name or node.id!r}"
        if node.type in ("functionNode", "customNode"):
            self._mistakes.add(self._where(node.id), f"{what}: programs are refused here; use tables and expressions")
        elif node.type not in KINDS:
            self._mistakes.add(self._where(node.id), f"{what}: there is no kind of node {node.type!r}")
        elif node.type == "decisionTableNode":
            self._table(graph, node)
        elif node.type == "expressionNode":
            self._expressions(graph, node)
        elif node.type == "switchNode" and (switch := self._content(node, _Switch)) is not None:
            for number, statement in enumerate(switch.statements, start=1):
                if statement.condition.strip():
                    self._whole(graph, node, f"way {number}", statement.condition, statement.id)
        elif node.type == "decisionNode" and (call := self._content(node, _Call)) is not None:
            graph.calls[node.id] = call.key.removesuffix(".json")
            if call.path:
                graph.produced.add(_root(call.path))

    def _expressions(self, graph: Graph, node: _Node) -> None:
        content = self._content(node, _Expressions)
        for expression in content.expressions if content else ():
            if expression.key.strip():
                graph.produced.add(_root(expression.key))
                self._whole(graph, node, expression.key, expression.value, node.id)
        if content and content.path:
            graph.produced.add(_root(content.path))

    def _table(self, graph: Graph, node: _Node) -> None:
        content = self._content(node, _Table)
        if content is None:
            return
        rows = []
        for number, cells in enumerate(content.rows, start=1):
            where = self._where(cells.get("_id", node.id))
            rows.append(Row(number, cells.get("_description", ""), cells, where))
        apart = bool(content.looped == "loop" or content.source or content.path)
        table = Table(
            node.id, node.name or node.id, content.hit == "first", content.inputs, content.outputs, rows, apart
        )
        graph.tables[node.id] = table
        graph.produced |= {_root(content.path)} if content.path else {_root(each.field) for each in table.outputs}
        for column in table.outputs:
            if not column.field:
                self._mistakes.add(self._where(node.id), f"{table.name}, column {column.label}: it has no field")
        for row in rows:
            for column in table.inputs:
                if cell := row.cell(column):
                    self._cell(read_condition if column.field else read_full, table, row, column, cell)
            for column in table.outputs:
                if cell := row.cell(column):
                    self._cell(read_full, table, row, column, cell)

    def _cell(self, read: Callable[[str], Reading], table: Table, row: Row, column: Column, cell: str) -> None:
        try:
            read(cell)
        except ValueError as error:
            self._mistakes.add(row.where, f"{table.name}, row {row.number}, {column.label}: {error}")

    def _whole(self, graph: Graph, node: _Node, what: str, text: str, near: str) -> None:
        where = self._where(near)
        try:
            read_full(text.strip())
        except ValueError as error:
            self._mistakes.add(where, f"{node.name or node.id}, {what}: {error}")
        graph.expressions.append((where, text.strip()))

    def _content(self, node: _Node, model: type[ContentT]) -> ContentT | None:
        try:
            return model.model_validate(node.content)
        except ValidationError as error:
            self._invalid(f"{node.name or node.id}: ", error, self._where(node.id))
            return None

    def _invalid(self, what: str, error: ValidationError, where: str = "") -> None:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        reason = f"{place}: {plain_message(first['msg'])}" if place else "this is not what the JDM format has here"
        self._mistakes.add(where or self._file, f"{what}{reason}")

    def _wrong(self, reason: str) -> None:
        self._mistakes.add(self._file, reason)

    def _where(self, identity: str) -> str:
        """The file and the line in which something with this id begins."""
        line = self._lines.get(identity)
        return f"{self._file}:{line}" if line else self._file


def _lines_of_ids(text: str) -> dict[str, int]:
    """The line in which each id stands first, of those that are written plainly."""
    lines: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        for identity in PLAIN_ID.findall(line):
            lines.setdefault(identity, number)
    return lines


def _readable(read: Callable[[str], Reading], text: str) -> Reading | None:
    try:
        return read(text) if text else None
    except ValueError:
        return None


def _bits(text: str, produced: set[str]) -> float:
    reading = _readable(read_full, text)
    again = [name for name in reading.mentions if name == "$" or _root(name) in produced] if reading else []
    return math.log2(len(again)) if again else 0.0


def _root(path: str) -> str:
    return path.split(".", 1)[0]


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"{key!r} stands twice in one object")
        found[key] = value
    return found


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number")
