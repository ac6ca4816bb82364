"""An assistant with one connector, in a folder of its own, to a real HTTP server on the loopback."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import zen
from pydantic import JsonValue

from services.business.connectors.assistants import Assistants
from services.business.connectors.lookups import Question, look_up
from services.business.settings import Settings
from tests.systems import CompanySystem, company_system

MOMENT = datetime(2026, 11, 3, 8, 30, tzinfo=UTC)

Make = Callable[..., Assistants]


class FileRules:
    """Any decision of a folder by its name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def decide(self, name: str, facts: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        content = json.loads((self._folder / f"{name}.json").read_text(encoding="utf-8"))
        engine = zen.ZenEngine({"loader": {"type": "static", "content": {name: content}}})
        result: dict[str, JsonValue] = engine.evaluate(name, dict(facts))["result"]
        return result


@pytest.fixture
async def system() -> AsyncIterator[CompanySystem]:
    """The company's system."""
    async with company_system() as system:
        yield system


@pytest.fixture
async def make(tmp_path: Path, system: CompanySystem) -> AsyncIterator[Make]:
    """Makes what business serves: the assistant `bank` with `connectors/core.yml`, whose head is written here."""
    made: list[Assistants] = []

    def assistants(
        parts: str,
        *,
        head: str = "",
        variables: Mapping[str, str] | None = None,
        rules: Any = FileRules,
        **settings: Any,
    ) -> Assistants:
        folder = tmp_path / "bank"
        (folder / "connectors").mkdir(parents=True, exist_ok=True)
        text = f"connector: core\nurl: {system.url}\n{head}\n{parts}"
        (folder / "connectors" / "core.yml").write_text(text, encoding="utf-8")
        chosen = Settings(home=tmp_path, assistant=folder, **settings)
        made.append(Assistants(chosen, rules, variables or {}))
        return made[-1]

    yield assistants
    for each in made:
        await each.close()


@pytest.fixture
def ask() -> Callable[..., Any]:
    """Makes one look-up of the installation's own assistant, within seconds."""

    async def lookup(
        assistants: Assistants,
        name: str = "card",
        *,
        customer: str | None = "C1",
        seconds: float = 5.0,
        **arguments: Any,
    ) -> dict[str, Any] | None:
        served = assistants.find("default", None, None)
        assert served is not None
        question = Question(customer=customer, moment=MOMENT, arguments=arguments, language="en")
        return await look_up(served, name, question, asyncio.get_running_loop().time() + seconds)

    return lookup
