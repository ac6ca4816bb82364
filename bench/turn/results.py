"""What was measured, as rows, and the tables that they are printed as."""

from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

__all__ = ["LongConversation", "Results", "Row", "show"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """So many customers at once; times are milliseconds, `processor` is each process' time for a turn."""

    who: str
    clients: int
    turns: int
    turns_per_second: float
    p50: float
    p95: float
    p99: float
    processor: dict[str, float]
    shares: dict[str, float] = field(default_factory=dict)
    """Of the time that customers waited, by part."""
    lookups: int = 0
    lookup: float = 0.0
    """Processor time of business for a look-up."""


@dataclass(frozen=True, kw_only=True)
class LongConversation:
    """The median turn at the beginning and at the end of one conversation, in milliseconds."""

    who: str
    messages: int
    first: float
    last: float
    processor: float


@dataclass(frozen=True, kw_only=True)
class Results:
    """All that one run measured; without rows of Rasa where it could not be had."""

    own: list[Row]
    long: list[LongConversation]
    rasa: list[Row]

    def document(self) -> dict[str, Any]:
        """The figures as JSON."""
        return asdict(self)


def show(console: Console, results: Results) -> None:
    """Prints the results as tables."""
    rasa = {row.clients: row for row in results.rasa}
    parts = list(results.own[0].shares)
    table = Table(title="A full chat turn", caption="shares of the time customers waited; rest: HTTP, lease, queueing")
    for column in ("", "clients", "turns/s", "× Rasa", "p50 ms", "p95 ms", "p99 ms", *(f"{part} %" for part in parts)):
        table.add_column(column, justify="right")
    for row in (*results.own, *results.rasa):
        theirs = rasa.get(row.clients)
        table.add_row(
            row.who,
            str(row.clients),
            f"{row.turns_per_second:.1f}",
            "" if theirs is None or row is theirs else f"{row.turns_per_second / theirs.turns_per_second:.1f}",
            *(f"{each:.1f}" for each in (row.p50, row.p95, row.p99)),
            *(f"{row.shares[part] * 100:.0f}" if row.shares else "" for part in parts),
        )
    console.print(table)
    if not rasa:
        console.print("Without Rasa: there is no Python 3.10 on the PATH, or it was left out.")
    processes = list(dict.fromkeys(name for row in (*results.own, *results.rasa) for name in row.processor))
    table = Table(title="Processor time, milliseconds a turn; the last column a look-up")
    for column in ("", "clients", *processes, "business / look-up"):
        table.add_column(column, justify="right")
    for row in (*results.own, *results.rasa):
        table.add_row(
            row.who,
            str(row.clients),
            *(f"{row.processor[name]:.2f}" if name in row.processor else "" for name in processes),
            f"{row.lookup:.2f}" if row.lookups else "",
        )
    console.print(table)
    for each in results.long:
        console.print(
            f"{each.who}: one conversation of {each.messages} messages: the median turn took {each.first:.1f} ms at "
            f"its beginning, {each.last:.1f} ms at its end; dialogue {each.processor:.2f} ms of processor time a turn"
        )
