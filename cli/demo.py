"""The demo shop's data, made again."""

from cli.errors import CommandError
from cli.home import Home
from services.business.settings import Settings
from services.business.shop.seed import reset as reset_shop
from shared.storage.database import Database
from shared.storage.migrations import bring_up

__all__ = ["reset"]


async def reset(home: Home) -> int:
    """Makes the demo shop of this state folder, or of `ZHIYIN_DATABASE_URL`, new; how many orders it has.

    Raises:
        CommandError: this is production, where there is no demo.
    """
    settings = Settings(home=home.root)
    if not settings.demo:
        raise CommandError("There is no demo here to reset: this is production, or ZHIYIN_SEED_DEMO is off.")
    await bring_up("business", settings, upgrade=True, say=lambda _: None)
    database = Database(settings.database("business"))
    try:
        return await reset_shop(database, settings.tenant)
    finally:
        await database.close()
