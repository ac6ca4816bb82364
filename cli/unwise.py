"""What is not wrong in an assistant's connectors and yet hardly meant; each line with its place."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from cli.recordings import FOLDER
from services.dialogue.assistant.assistant import Assistant
from services.dialogue.assistant.schema import ActionStep, LookupStep
from shared.assistants.connectors import Action, Connector, ConnectorFiles, Lookup

__all__ = ["unwise"]

LOCAL = ("localhost", "127.0.0.1", "::1")


def unwise(folder: Path, files: ConnectorFiles, assistant: Assistant | None) -> Iterator[str]:
    """What a person should look at again; what no flow uses is told where the flows can be read."""
    used = used_names(files, assistant) if assistant is not None else None
    for name, connector in files.connectors.items():
        document = files.documents[name]
        host = urlsplit(connector.url or "").hostname or ""
        if (connector.url or "").startswith("http:") and host not in LOCAL and "." in host:
            yield f"{document.where('url')}: what goes to {host} over http can be read on the way; write https"
        if not (folder / FOLDER / f"{name}.yml").is_file():
            yield (
                f"{document.where('connector')}: no answers of it are recorded in {FOLDER}/{name}.yml, so "
                "`zhiyin test` has none; --record writes them"
            )
        for kind, parts in (("lookups", connector.lookups), ("actions", connector.actions)):
            for each, part in parts.items():
                where = document.where(kind, each)
                if used is not None and each not in used:
                    yield f"{where}: nothing uses '{each}'"
                yield from (f"{where}: {said}" for said in of_part(connector, each, part))


def of_part(connector: Connector, name: str, part: Lookup | Action) -> Iterator[str]:
    """What is unwise in one look-up or action."""
    if not isinstance(part, Action) or part.saga is not None or connector.plugin is not None:
        return
    if part.delivery == "once":
        yield (
            f"'{name}' is delivered once: whenever its answer is lost a person has to find out what happened; "
            "`idempotent` or `queryable` spare them that"
        )
    if part.approval is not None and part.before is None:
        yield f"'{name}' waits for a person, and nothing is looked up again (`before`) when they have agreed"


def used_names(files: ConnectorFiles, assistant: Assistant) -> set[str]:
    """The look-ups and actions that flows, or other actions, name."""
    used: set[str] = set()
    for flow in assistant.flows:
        for step in assistant.steps[flow].values():
            if isinstance(step, LookupStep):
                used.add(step.lookup)
            elif isinstance(step, ActionStep):
                used.add(step.action)
        used |= {slot.check.lookup for slot in assistant.slots[flow].values() if slot.check is not None}
    for _, action in files.actions().values():
        used |= {action.before.lookup} if action.before is not None else set()
        for part in action.saga or ():
            used |= {part.action} | ({part.undo.action} if part.undo is not None else set())
    return used
