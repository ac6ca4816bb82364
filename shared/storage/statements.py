"""Statements for the hot path: compiled once, without ORM objects, and limited to one tenant by construction.

A `Statement` is made when its module is imported. It adds `tenant = :tenant` for every tenant's table that it names and
refuses whatever it could not limit that way (subqueries, aliases, outer joins), so no statement that exists can see
another tenant. `Unit` runs it and supplies the tenant; values go in and rows come out as plain Python values.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Protocol

from sqlalchemy import Column, Delete, Dialect, Insert, Join, Select, Table, Update, bindparam, insert
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.sql import visitors
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import ReturningUpdate
from sqlalchemy.sql.selectable import AliasedReturnsRows, SelectBase
from sqlalchemy.sql.visitors import ExternallyTraversible

from shared.storage.storable import check_values, longest_of

__all__ = ["Row", "Statement", "Unit", "insert_into", "table_of", "upsert_into"]

TENANT = "tenant"

Row = tuple[Any, ...]
Values = Mapping[str, Any]
Query = Select[Any] | Insert | Update | Delete | ReturningUpdate[Any]


class Statement:
    """A Core statement with named parameters, compiled at its first use on each kind of database.

    Raises:
        ValueError: it cannot be limited to a tenant, or leaves values to be made up when it runs.
    """

    def __init__(self, query: Query) -> None:
        self._query = _limited(query)
        self._compiled: dict[str, _Compiled] = {}

    def on(self, dialect: Dialect) -> "_Compiled":
        """The statement as this kind of database takes it."""
        found = self._compiled.get(dialect.name)
        if found is None:
            found = self._compiled[dialect.name] = _Compiled(self._query_on(dialect), dialect)
        return found

    def _query_on(self, _dialect: Dialect) -> Query:
        return self._query


class _Upsert(Statement):
    """An INSERT that writes over the row with the same key; each kind of database has a construct of its own."""

    def __init__(self, table: Table, columns: Sequence[str], key: Sequence[str]) -> None:
        if TENANT in columns:
            raise ValueError(f"the unit of work names the tenant of a row: {table}")
        self._table, self._columns, self._key = table, columns, key
        self._compiled = {}

    def _query_on(self, dialect: Dialect) -> Query:
        table = self._table
        values = {name: bindparam(name, type_=table.c[name].type) for name in (TENANT, *self._columns)}
        if dialect.name == "postgresql":
            query = postgresql.insert(table).values(values)
        else:
            query = sqlite.insert(table).values(values)  # type: ignore[assignment]  # the same methods
        others = {name: query.excluded[name] for name in self._columns if name not in self._key}
        return query.on_conflict_do_update(index_elements=[TENANT, *self._key], set_=others).inline()


class _Compiled:
    """SQL text, and what turns values into the driver's arguments and the driver's rows into values."""

    def __init__(self, query: Query, dialect: Dialect) -> None:
        compiled = query.compile(dialect=dialect)
        assert isinstance(compiled, SQLCompiler)
        if compiled.insert_prefetch or compiled.update_prefetch:
            raise ValueError(f"a prepared statement names every column that has a default: {compiled}")
        self.sql = str(compiled)
        self._dialect = dialect
        self._constants = {name: each.value for name, each in compiled.binds.items() if not each.required}
        self._arguments = [
            (name, compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect))
            for name in compiled.positiontup or ()
        ]
        self._longest = longest_of(compiled)
        self._returned = () if isinstance(query, Insert) else tuple(query.exported_columns)

    def arguments(self, tenant: str, values: Values) -> list[Any]:
        """The driver's positional arguments."""
        known = {**self._constants, **values, TENANT: tenant}
        check_values(self._longest, known)
        return [known[name] if process is None else process(known[name]) for name, process in self._arguments]

    def rows(self, found: Iterable[Sequence[Any]]) -> list[Row]:
        """The driver's rows with values of the columns' types."""
        processes = self._processes
        return [
            tuple(value if process is None else process(value) for process, value in zip(processes, row, strict=True))
            for row in found
        ]

    @cached_property
    def _processes(self) -> list[Callable[[Any], Any] | None]:
        return [
            column.type.dialect_impl(self._dialect).result_processor(self._dialect, None) for column in self._returned
        ]


class Driver(Protocol):
    """A connection inside a transaction; calls return when the database has answered."""

    def fetch(self, sql: str, arguments: list[Any]) -> Iterable[Sequence[Any]]:
        """The statement's rows, all of them."""

    def execute_many(self, sql: str, arguments: list[list[Any]]) -> None:
        """The statement once for each list of arguments."""


class Unit:
    """A unit of work of one tenant while it runs; its caller commits or rolls back."""

    def __init__(self, driver: Driver, dialect: Dialect, tenant: str) -> None:
        self.tenant = tenant
        self._driver = driver
        self._dialect = dialect

    def rows(self, statement: Statement, **values: Any) -> list[Row]:
        """Every row that the statement selects or returns."""
        compiled = statement.on(self._dialect)
        return compiled.rows(self._driver.fetch(compiled.sql, compiled.arguments(self.tenant, values)))

    def row(self, statement: Statement, **values: Any) -> Row | None:
        """The first row, if there is one."""
        found = self.rows(statement, **values)
        return found[0] if found else None

    def run(self, statement: Statement, **values: Any) -> None:
        """Executes a statement that returns nothing."""
        compiled = statement.on(self._dialect)
        self._driver.fetch(compiled.sql, compiled.arguments(self.tenant, values))

    def run_many(self, statement: Statement, rows: Sequence[Values]) -> None:
        """Executes a statement that returns nothing once for each of the rows."""
        if rows:
            compiled = statement.on(self._dialect)
            self._driver.execute_many(compiled.sql, [compiled.arguments(self.tenant, row) for row in rows])


def table_of(model: type[DeclarativeBase]) -> Table:
    """The table that a model describes."""
    table = model.__table__
    assert isinstance(table, Table)
    return table


def insert_into(model: type[DeclarativeBase], *columns: str) -> Statement:
    """An INSERT of these columns, each with a parameter of its name; the tenant is added."""
    table = table_of(model)
    return Statement(insert(table).values({name: bindparam(name, type_=table.c[name].type) for name in columns}))


def upsert_into(model: type[DeclarativeBase], *columns: str, key: Sequence[str]) -> Statement:
    """An INSERT of these columns that replaces what the tenant has under the same `key`, a constraint's columns."""
    return _Upsert(table_of(model), columns, key)


def _limited(query: Query) -> Query:
    for element in _parts(query):
        if element is not query and isinstance(element, SelectBase | AliasedReturnsRows):
            raise ValueError(f"a prepared statement has no subqueries and no aliases: {query}")
        if isinstance(element, Join) and (element.isouter or element.full):
            raise ValueError(f"a prepared statement has no outer joins: {query}")
    if isinstance(query, Insert | Update) and TENANT in query.compile().params:
        raise ValueError(f"the unit of work names the tenant of a row: {query}")
    if isinstance(query, Insert):
        tenant = query.table.c.get(TENANT)
        return (query if tenant is None else query.values(tenant=bindparam(TENANT, type_=tenant.type))).inline()
    for table in _tables(query):
        tenant = table.c.get(TENANT)
        if tenant is not None:
            query = query.where(tenant == bindparam(TENANT, type_=tenant.type))
    return query


def _tables(query: Query) -> set[Table]:
    """Every table that the statement names, wherever it does."""
    parts = list(_parts(query))
    return {each for each in parts if isinstance(each, Table)} | {
        each.table for each in parts if isinstance(each, Column)
    }


def _parts(query: Query) -> Iterator[ExternallyTraversible]:
    yield from visitors.iterate(query)
    if isinstance(query, Select):
        # What was joined by `Select.join` becomes a `Join` only here.
        for each in query.get_final_froms():
            yield from visitors.iterate(each)
