"""Attempts at actions in processes that are killed where a test says: a process that has everything imported forks.

python -m tests.foreign.killed DATABASE_URL FOREIGN_URL; each line that it reads is `TENANT ID POINT`, where the
point is one of the ledger's or `-`. It answers with a line once the attempt has ended or was killed.
"""

import asyncio
import os
import signal
import sys
from datetime import timedelta
from functools import partial

from services.business.actions.ledger import Ledger
from services.business.actions.results import AttemptFailed, NothingToDo
from services.business.rules.rule_book import RuleBook
from services.business.settings import Settings
from shared import faults
from shared.contracts.actions import ActionReference
from shared.logs import configure_logs
from shared.storage.database import Database
from tests.foreign.effects import opened

__all__ = ["QUICK", "main"]

QUICK = {"retry_seconds": 1e-9, "longest_pause_seconds": 1e-9, "ask_again_seconds": 1e-9, "hard_limit_seconds": 1}
"""Settings with which another attempt may be made at once; the last one is waited for until its time is over."""
SETTLE = timedelta(milliseconds=60)


async def attempt(database_url: str, foreign_url: str, reference: ActionReference) -> str:
    """One attempt, and what came of it."""
    settings = Settings(database_url=database_url, **QUICK)  # type: ignore[arg-type]  # a dictionary of floats
    database = Database(settings.business_database, pool_size=1)
    async with opened(foreign_url, settle=SETTLE) as effects:
        try:
            ledger = Ledger(database, RULES, settings, effects)
            return (await ledger.perform(reference)).status
        except (AttemptFailed, NothingToDo) as error:
            return str(error) or "again"
        finally:
            await database.close()


async def _stop(point: str, name: str) -> None:
    if name == point:
        os.kill(os.getpid(), signal.SIGKILL)


RULES = RuleBook(Settings().rules_dir)


def main() -> None:
    """Makes attempts until its input ends."""
    configure_logs("killed", "critical")
    database_url, foreign_url = sys.argv[1:]
    for line in sys.stdin:
        tenant, action, point = line.split()
        child = os.fork()
        if child == 0:
            faults.point = partial(_stop, point)
            found = asyncio.run(attempt(database_url, foreign_url, ActionReference(id=action, tenant=tenant)))
            sys.stdout.write(f"{found.splitlines()[0]}\n")
            sys.stdout.flush()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            sys.stdout.write("killed\n" if os.WIFSIGNALED(status) else "broken\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
