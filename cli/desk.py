"""What people decide: refunds that wait for a yes, and messages that were given up."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from cli.console import err, harmless, out, write_json
from cli.errors import CommandError
from cli.gateway import Gateway

__all__ = ["Staff", "approve", "dead_letters", "everything", "show"]

PAGE = 50


@dataclass(frozen=True, kw_only=True)
class Staff:
    """Who asks: an account, and where the gateway is."""

    username: str
    password: str
    url: str

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[Gateway]:
        """The gateway, as this person may use it."""
        async with Gateway(self.url) as gateway:
            await gateway.log_in(self.username, self.password)
            yield gateway

    @asynccontextmanager
    async def at_the_desk(self) -> AsyncIterator[Gateway]:
        """Dialogue, as this person may use it."""
        async with Gateway(self.url) as gateway:
            await gateway.log_in(self.username, self.password)
            yield gateway


async def approve(staff: Staff, action: str | None, *, yes: bool, note: str | None, as_json: bool) -> None:
    """Decides on an action that waits for a person; without one, shows those that wait.

    Raises:
        CommandError: there is no such action, it was decided otherwise, or the account may not.
    """
    async with staff.at_work() as gateway:
        if action is None:
            show(await everything(gateway, "approvals"), ("id", "name", "customer", "created_at", "data"), as_json)
            return
        body = {"decision": "approve" if yes else "reject"} | ({"note": note} if note else {})
        decided = await gateway.staff("POST", f"/v1/approvals/{named(action)}", body)
    if as_json:
        write_json(decided)
    else:
        err.print(f"[green]✓[/] {named(action)} is {harmless(str(decided['status']))}")


async def dead_letters(
    staff: Staff,
    *,
    retry: int | None = None,
    dismiss: int | None = None,
    resolve: tuple[int, bool] | None = None,
    reason: str | None = None,
    as_json: bool,
) -> None:
    """Has a message that was given up tried again, leaves it so, or says whether it happened; by default shows all.

    Args:
        resolve: which one, and whether its action happened.
        reason: why it is left so, or how it was found out.

    Raises:
        CommandError: there is no such message, it was decided on before, or the account may not.
    """
    async with staff.at_work() as gateway:
        if retry is not None:
            letter = await gateway.staff("POST", f"/v1/dead-letters/{retry}/retry", {})
            done = f"{retry} is tried again"
        elif dismiss is not None:
            letter = await gateway.staff("POST", f"/v1/dead-letters/{dismiss}/dismiss", {"reason": reason})
            done = f"{dismiss} is left as it is"
        elif resolve is not None:
            which, happened = resolve
            body = {"happened": happened, "note": reason}
            letter = await gateway.staff("POST", f"/v1/dead-letters/{which}/resolve", body)
            done = f"{which} has {'happened' if happened else 'not happened'}"
        else:
            columns = ("id", "name", "action_id", "attempts", "created_at", "retried_at", "dismissed_at", "error")
            show(await everything(gateway, "dead_letters"), columns, as_json)
            return
    if as_json:
        write_json(letter)
    else:
        err.print(f"[green]✓[/] {done}")


def named(action: str) -> str:
    """An action's id, which becomes part of an address.

    Raises:
        CommandError: it can be none.
    """
    if not action.replace("-", "").replace(".", "").replace("_", "").isalnum() or not action.isascii():
        raise CommandError(f"{harmless(action)!r} is no id of an action; `zhiyin approve` lists those that wait.")
    return action


async def everything(gateway: Gateway, what: str) -> list[dict[str, Any]]:
    """Every page of a list."""
    found: list[dict[str, Any]] = []
    after: int | None = 0
    while after is not None:
        page = await gateway.staff("GET", f"/v1/{what.replace('_', '-')}?after={after}&limit={PAGE}")
        found += page[what]
        after = page["next_after"]
    return found


def show(rows: list[dict[str, Any]], columns: tuple[str, ...], as_json: bool) -> None:
    """A list for a person or a script."""
    if as_json:
        write_json(rows)
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(Text(harmless(words(row.get(column)))) for column in columns))
    out.print(table)


def words(value: Any) -> str:
    """A value in a cell."""
    if isinstance(value, dict):
        return ", ".join(f"{name}: {words(each)}" for name, each in value.items() if each is not None)
    return "" if value is None else str(value)
