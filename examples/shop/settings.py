"""How the shop is started: arguments of the command, else environment variables, else what stands here."""

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Settings", "read_settings"]

SHORTEST_KEY = 16
YES = ("1", "true", "yes", "on")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What one shop runs with."""

    api_key: str
    """What callers send as `Authorization: Bearer …`."""
    data: Path = Path("shop-data")
    """The folder of the database."""
    host: str = "127.0.0.1"
    port: int = 8030
    seed: bool = True
    """Whether the demo's customers and orders are there."""
    faults: bool = False
    """Whether `PUT /faults` lets a test make the next answers go wrong."""
    most_complaints: int = 20
    """Complaints of one customer that may be open."""
    reset: bool = False
    """Whether the data is made new, and nothing is served."""


def read_settings(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings of a command line; the key comes from `SHOP_API_KEY` only, where no list of processes shows it.

    Raises:
        SystemExit: one cannot be used; says which.
    """
    parser = argparse.ArgumentParser(prog="python -m examples.shop", description="The demo shop's back end.")
    parser.add_argument("--host", default=environment.get("SHOP_HOST", Settings.host), help="SHOP_HOST")
    parser.add_argument("--port", default=environment.get("SHOP_PORT", str(Settings.port)), help="SHOP_PORT")
    parser.add_argument(
        "--data", type=Path, default=Path(environment.get("SHOP_DATA", Settings.data)), help="a folder; SHOP_DATA"
    )
    parser.add_argument(
        "--faults",
        action="store_true",
        default=environment.get("SHOP_FAULTS", "").lower() in YES,
        help="tests may make answers go wrong; SHOP_FAULTS",
    )
    parser.add_argument(
        "--empty",
        action="store_true",
        default=environment.get("SHOP_EMPTY", "").lower() in YES,
        help="without the demo's customers and orders; SHOP_EMPTY",
    )
    parser.add_argument(
        "--most-complaints",
        default=environment.get("SHOP_MOST_COMPLAINTS", str(Settings.most_complaints)),
        help="of one customer that may be open; SHOP_MOST_COMPLAINTS",
    )
    parser.add_argument("--reset", action="store_true", help="makes the data new, as on the first day, and ends")
    given = parser.parse_args(arguments)
    key = environment.get("SHOP_API_KEY", "")
    good = len(key) >= SHORTEST_KEY and key.isascii() and key.isprintable() and " " not in key
    if not (good or given.reset):
        parser.error(f"set SHOP_API_KEY to a secret of at least {SHORTEST_KEY} plain characters")
    return Settings(
        api_key=key,
        data=given.data,
        host=given.host,
        port=_whole(parser, "--port", given.port, 0, 65_535),
        seed=not given.empty,
        faults=given.faults,
        most_complaints=_whole(parser, "--most-complaints", given.most_complaints, 1, 10_000),
        reset=given.reset,
    )


def _whole(parser: argparse.ArgumentParser, name: str, text: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit() and least <= int(text[:9]) <= most):
        parser.error(f"{name} is a whole number from {least} to {most}")
    return int(text)
