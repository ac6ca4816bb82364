"""Which texts a database takes: checked here for every statement, the same with SQLite and PostgreSQL.

PostgreSQL refuses a NUL, half a character and what is longer than its column; SQLite takes all of it. Wherever a text
comes from, it reaches SQL as a parameter, and what cannot be stored is the input's fault and no error of the service.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import String
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.sql.compiler import SQLCompiler

from shared.errors import InvalidInput

__all__ = ["check_execution", "check_values", "longest_of"]

Longest = Mapping[str, int]
"""How many characters a parameter may have, by its name; others may have any number."""


def longest_of(compiled: SQLCompiler) -> Longest:
    """The limits of a statement: what is written has to fit into its column, what is looked for need not."""
    if not (compiled.isinsert or compiled.isupdate):
        return {}
    return {
        name: each.type.length
        for name, each in compiled.binds.items()
        if isinstance(each.type, String) and each.type.length is not None
    }


def check_values(longest: Longest, values: Mapping[str, Any]) -> None:
    """Checks the texts among these parameters.

    Raises:
        InvalidInput: one of them cannot be stored.
    """
    for name, value in values.items():
        if isinstance(value, str):
            _check(value, longest.get(name))


def check_execution(
    _connection: Any, _cursor: Any, _statement: str, _parameters: Any, context: DefaultExecutionContext, _many: bool
) -> None:
    """The same for an engine's statements: listens to its `before_cursor_execute`."""
    compiled = context.compiled
    if isinstance(compiled, SQLCompiler):
        longest = longest_of(compiled)
        # Here every member of a list is a parameter of its own.
        for values in context.compiled_parameters:
            check_values(longest, values)


def _check(value: str, most: int | None) -> None:
    if "\x00" in value:
        raise InvalidInput("the character NUL cannot be stored")
    if most is not None and len(value) > most:
        raise InvalidInput(f"a text of {len(value)} characters is longer than the {most} that can be stored")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise InvalidInput("half a character cannot be stored") from error
