"""`zhiyin check`: whether an assistant's files can be used, told within a second and without a model."""

from pathlib import Path

from cli.console import err, harmless, out, write_json
from cli.errors import CommandError
from cli.recordings import read_recordings
from cli.unwise import unwise
from services.business.rules.check import check_rules
from services.dialogue.assistant.assistant import Assistant, load_assistant
from services.dialogue.testing import load_conversations
from shared.assistants.connector_checks import check_connectors
from shared.assistants.connectors import read_connectors
from shared.assistants.yaml_source import Mistakes
from shared.errors import ConfigurationError
from shared.nlu.training_data import load_training_data

__all__ = ["check", "findings_in"]


def check(folder: Path, *, as_json: bool) -> None:
    """Shows every mistake in an assistant's files, and what is hardly meant, a line each with file and line.

    Raises:
        CommandError: there is a mistake.
    """
    found, warnings = findings_in(folder)
    if as_json:
        write_json({"mistakes": found, "warnings": warnings})
    else:
        for line in [*found, *(f"warning: {each}" for each in warnings)]:
            out.print(harmless(line), soft_wrap=True, markup=False)
    if found:
        raise CommandError(f"{len(found)} {'mistake' if len(found) == 1 else 'mistakes'} in {folder.name}.")
    err.print(f"[green]✓[/] {folder.name} can be used.")


def findings_in(folder: Path) -> tuple[list[str], list[str]]:
    """What is wrong with the flows, replies and documents, the utterances and held-out sentences, the connectors with
    their recorded answers, the rules and the tests; and what is not wrong and yet hardly meant."""
    found: list[str] = []
    warnings: list[str] = []
    assistant: Assistant | None = None
    try:
        assistant = load_assistant(folder)
    except ConfigurationError as error:
        found += str(error).splitlines()
    try:
        warnings += load_training_data(folder).warnings
    except ConfigurationError as error:
        found += str(error).splitlines()
    mistakes = Mistakes()
    connectors = read_connectors(folder, str, mistakes)
    check_connectors(connectors, folder, mistakes)
    read_recordings(folder, mistakes)
    check_rules(folder / "rules", mistakes, warnings)
    found += mistakes.found
    warnings += unwise(folder, connectors, assistant)
    if assistant is not None:
        try:
            load_conversations(folder, assistant)
        except ConfigurationError as error:
            found += str(error).splitlines()
    return list(dict.fromkeys(found)), warnings
