"""An assistant's systems, called from the command line by the code that business calls them with."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from services.business.connectors.assistants import Assistants
from services.business.connectors.effects import Effects, Prepared
from services.business.connectors.lookups import Served, answer_lookup
from services.business.connectors.outcomes import (
    NothingHappened,
    OutcomeUnknown,
    Refused,
    SystemAway,
    SystemRefused,
)
from services.business.rules.rules import Rules
from services.business.settings import ConnectorSettings, Settings
from shared.assistants.connectors import ConnectorFiles, read_connectors
from shared.assistants.yaml_source import Mistakes
from shared.contracts.actions import ActionRequest, ActionResult, ActionStatus
from shared.contracts.lookups import LookupAnswer, LookupRequest
from shared.errors import NotFound, Unavailable, UpstreamError
from shared.nlu.assistant_files import load_manifest

__all__ = ["TENANT", "Notes", "Systems", "connectors_of"]

TENANT = "default"
PATIENCE_SECONDS = 60.0
HERE = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


@dataclass
class Notes:
    """What a call came to besides its answer: what went wrong, and what the rules decided."""

    problems: list[str] = field(default_factory=list)
    decisions: dict[str, Any] = field(default_factory=dict)


def connectors_of(folder: Path) -> ConnectorFiles:
    """What `connectors/` says.

    Raises:
        ConfigurationError: a file cannot be used.
    """
    mistakes = Mistakes()
    files = read_connectors(folder, str, mistakes)
    mistakes.raise_if_any()
    return files


class Systems:
    """Look-ups and actions of one assistant, as long as it is entered; every call is made once.

    Args:
        urls: where each connector's system is, on this machine.
        kept: the folder in which secrets are kept; those that are given come before it, then the environment.

    Raises:
        ConfigurationError: the assistant's connectors cannot be used.
    """

    def __init__(
        self, folder: Path, urls: Mapping[str, str], *, secrets: Mapping[str, str], kept: Path | None = None
    ) -> None:
        self._folder = folder
        self._urls = urls
        self._secrets = secrets
        self._kept = kept

    async def __aenter__(self) -> Self:
        self._scratch = TemporaryDirectory(prefix="zhiyin-systems-")
        try:
            self._open(Path(self._scratch.name))
        except BaseException:
            self._scratch.cleanup()
            raise
        return self

    def _open(self, root: Path) -> None:
        name = load_manifest(self._folder).name
        settings = Settings(
            home=root,
            assistant=self._folder,
            tenant=TENANT,
            secrets=root / "secrets",
            connectors={
                f"{name}.{each}": ConnectorSettings(url=url, networks=HERE) for each, url in self._urls.items()
            },
        )
        self._keep_secrets(root / "secrets" / TENANT / name, name)
        self._assistants = Assistants(settings, Rules)
        self._effects = Effects(self._assistants)

    async def __aexit__(self, *_: object) -> None:
        await self._assistants.close()
        self._scratch.cleanup()

    def _keep_secrets(self, folder: Path, assistant: str) -> None:
        """Those that are kept, and those that are given, where business looks for them."""
        folder.mkdir(parents=True, mode=0o700)
        kept = (self._kept / TENANT / assistant).glob("*") if self._kept is not None else ()
        for path in kept:
            (folder / path.name).symlink_to(path.absolute())
        for name, value in self._secrets.items():
            (folder / name).unlink(missing_ok=True)
            (folder / name).write_text(value, encoding="utf-8")

    async def look_up(
        self, name: str, arguments: Mapping[str, Any], *, customer: str | None = None, language: str | None = None
    ) -> LookupAnswer:
        """Asks a system.

        Raises:
            NotFound: there is no such look-up.
            InvalidInput: an argument cannot be one.
            Unavailable: the system gave no answer that can be used.
        """
        request = LookupRequest(customer=customer, arguments=dict(arguments), language=language)
        until = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        try:
            return await answer_lookup(self._served, name, request, moment=datetime.now(UTC), until=until)
        except (SystemAway, UpstreamError) as error:
            raise Unavailable(str(error)) from error

    async def perform(
        self, request: ActionRequest, *, approved: bool = False, notes: Notes | None = None
    ) -> ActionResult:
        """Has a system do something, with the action's id as its idempotency key; a lost answer stays lost."""
        notes = notes or Notes()
        try:
            prepared = await self._effects.prepare(request, datetime.now(UTC))
            if isinstance(prepared, Refused):
                return result(request, "rejected", code=prepared.code, data=prepared.data)
            declared = self._served.actions[request.name][2].decide
            notes.decisions |= {each: prepared.scope[each] for each in declared}
            if prepared.approval is not None and not approved:
                return result(request, "awaiting_approval", data=prepared.arguments | prepared.known)
            if prepared.saga is not None:
                return await self._saga(request, prepared, notes)
            done = await self._effects.perform(request, prepared, key=request.id)
        except NothingHappened as error:
            notes.problems.append(str(error))
            return result(request, "failed", code="system_away")
        except OutcomeUnknown as error:
            notes.problems.append(str(error))
            return result(request, "failed", code="outcome_unknown")
        except SystemRefused as error:
            notes.problems.append(str(error))
            return result(request, "failed", code="system_refused")
        if isinstance(done, Refused):
            return result(request, "rejected", code=done.code, data=done.data)
        return result(request, "succeeded", data=done.data)

    async def _saga(self, request: ActionRequest, prepared: Prepared, notes: Notes) -> ActionResult:
        """The steps one after the other; when one fails, those before it are undone, the last one first."""
        scope, saved = dict(prepared.scope), dict[str, Any]()
        undos: list[ActionRequest] = []

        def part(name: str, key: str, arguments: Mapping[str, Any]) -> ActionRequest:
            values = {each: expression.value(scope) for each, expression in arguments.items()}
            return request.model_copy(update={"id": f"{request.id}.{key}", "name": name, "arguments": values})

        for number, step in enumerate(prepared.saga or ()):
            outcome = await self.perform(part(step.action, str(number), step.arguments), approved=True, notes=notes)
            if outcome.status != "succeeded":
                for undo in reversed(undos):
                    await self.perform(undo, approved=True, notes=notes)
                return result(request, outcome.status, code=outcome.error_code)
            if step.save is not None:
                saved[step.save] = scope[step.save] = outcome.data
            if step.undo is not None:
                undos.append(part(step.undo.action, f"{number}.undo", step.undo.arguments))
        return result(request, "succeeded", data=self._effects.finished(request, prepared, saved).data)

    @property
    def _served(self) -> Served:
        served = self._assistants.find(TENANT, None, None)
        if served is None:
            raise NotFound("the assistant has no connectors")
        return served


def result(
    request: ActionRequest, status: ActionStatus, *, code: str | None = None, data: dict[str, Any] | None = None
) -> ActionResult:
    """What became of an action."""
    return ActionResult(
        action_id=request.id,
        tenant=request.tenant,
        name=request.name,
        conversation_id=request.conversation_id,
        status=status,
        error_code=code,
        data=data or {},
    )
