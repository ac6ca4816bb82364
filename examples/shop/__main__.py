"""Starts the shop: `SHOP_API_KEY=… python -m examples.shop --port 8030 --data folder`."""

import logging
import sys

import uvicorn

from examples.shop.app import create_app
from examples.shop.seed import reset
from examples.shop.settings import read_settings
from examples.shop.store import Store

__all__ = ["main"]

STOP_SECONDS = 10


def main() -> None:
    """Serves until a signal asks it to stop; requests in hand are answered first."""
    settings = read_settings(sys.argv[1:])
    if settings.reset:
        sys.stdout.write(f"{reset(Store(settings.data))} orders\n")
        return
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=STOP_SECONDS,
    )


if __name__ == "__main__":
    main()
