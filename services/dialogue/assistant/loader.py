"""The files below an assistant's folder that dialogue reads, each part with the place where it stands."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import JsonValue

from services.dialogue.assistant.faq import FaqDocument, read_faq
from services.dialogue.assistant.responses import RepliesFile, ReplyText
from services.dialogue.assistant.schema import BusinessFile, CallStep, Flow, Offer, SharedSlots, Slot, walk
from shared.assistants.connector_checks import check_connectors
from shared.assistants.connectors import Action, ConnectorFiles, Lookup, fields_given, read_connectors
from shared.assistants.yaml_source import Document, Mistakes, read_documents
from shared.contracts.built_in import (
    SUBMITTED_ACTIONS,
    WITHDRAW_ACTION,
    SubmittedActions,
    WithdrawArguments,
    Withdrawn,
    fields_declared,
)

__all__ = ["AssistantFiles"]


@dataclass
class AssistantFiles:
    """What was read, with where it stands, until it is known to be right."""

    folder: Path
    mistakes: Mistakes = field(default_factory=Mistakes)
    flows: dict[str, Flow] = field(default_factory=dict)
    flow_documents: dict[str, Document] = field(default_factory=dict)
    shared_slots: dict[str, Slot] = field(default_factory=dict)
    slot_documents: dict[str, Document] = field(default_factory=dict)
    business: BusinessFile = field(default_factory=lambda: BusinessFile(lookups={}, actions={}))
    replies: dict[str, dict[str, ReplyText]] = field(default_factory=dict)
    reply_documents: dict[str, Document] = field(default_factory=dict)
    faq: dict[str, FaqDocument] = field(default_factory=dict)

    def name_of(self, path: Path) -> str:
        """What mistakes call a file."""
        return str(self.folder / path.relative_to(self.folder))

    def read(self, languages: tuple[str, ...]) -> None:
        """Read everything below the folder."""
        for language in languages:
            self.read_replies(language)
        for path in sorted((self.folder / "faq").glob("*.md")):
            faq = read_faq(path, self.name_of(path), languages, self.mistakes)
            if faq is not None:
                self.faq[faq.intent] = faq
        found = [
            document
            for path in sorted((self.folder / "flows").glob("*.yml"))
            for document in read_documents(path, self.name_of(path), self.mistakes)
        ]
        if not found:
            self.mistakes.add(self.name_of(self.folder / "flows"), "there are no flows here")
        own = [document for document in found if not self.read_shared(document)]
        self.read_connectors()
        self.mistakes.raise_if_any()  # a mistake in a shared slot would be reported again for each flow that has it
        for document in own:
            self.read_flow(document)
        self.mistakes.raise_if_any()

    def read_replies(self, language: str) -> None:
        """`replies/<language>.yml`."""
        path = self.folder / "replies" / f"{language}.yml"
        for document in read_documents(path, self.name_of(path), self.mistakes)[:1]:
            replies = document.parse(RepliesFile, self.mistakes)
            if replies is not None:
                self.replies[language] = replies.root
                self.reply_documents[language] = document

    def read_shared(self, document: Document) -> bool:
        """Slots that flows share, or what business offers; whether the document was one of these."""
        keys = set(document.value) if isinstance(document.value, dict) else set()
        if keys & {"lookups", "actions"}:
            self.business = document.parse(BusinessFile, self.mistakes) or self.business
            return True
        if keys == {"slots"}:
            shared = document.parse(SharedSlots, self.mistakes)
            for name, slot in shared.slots.items() if shared else ():
                self.shared_slots[name] = slot
                self.slot_documents[name] = document
            return True
        return False

    def read_connectors(self) -> None:
        """What the company's systems and business itself offer, where there are connectors."""
        found = read_connectors(self.folder, self.name_of, self.mistakes)
        check_connectors(found, self.folder, self.mistakes)
        if found.connectors:
            self.business = BusinessFile(
                lookups={name: offered(lookup) for name, (_, lookup) in found.lookups().items()}
                | {SUBMITTED_ACTIONS: submitted_actions(found)},
                actions={name: offered(action) for name, (_, action) in found.actions().items()}
                | {WITHDRAW_ACTION: WITHDRAWAL},
            )

    def read_flow(self, document: Document) -> None:
        """One flow; a slot that it shares begins with what the shared one says."""
        value = document.value
        if isinstance(value, dict) and isinstance(slots := value.get("slots"), dict):
            for name, own in slots.items():
                if isinstance(own, dict):
                    slots[name] = {**self.shared_source(name), **own}
        flow = document.parse(Flow, self.mistakes)
        if flow is None:
            return
        if flow.flow in self.flows:
            other = self.flow_documents[flow.flow].where("flow")
            self.mistakes.add(document.where("flow"), f"there is already a flow '{flow.flow}' at {other}")
        self.flows[flow.flow] = flow
        self.flow_documents[flow.flow] = document

    def plans(self) -> dict[str, str]:
        """By flow, a digest of its steps as they were written, and of those of the flows that it calls."""
        own = {
            name: json.dumps(document.value.get("steps"), sort_keys=True)
            for name, document in self.flow_documents.items()
            if isinstance(document.value, dict)
        }
        return {
            name: hashlib.blake2b(
                "\n".join(own[each] for each in called(name, self.flows)).encode(), digest_size=8
            ).hexdigest()
            for name in own
        }

    def shared_source(self, name: str) -> dict[str, JsonValue]:
        """A shared slot as it was written; nothing when there is none of that name."""
        value: JsonValue = self.slot_documents[name].value if name in self.slot_documents else None
        for key in ("slots", name):
            value = value.get(key) if isinstance(value, dict) else None
        return value if isinstance(value, dict) else {}


def called(flow: str, flows: Mapping[str, Flow]) -> list[str]:
    """A flow and all those that it calls, in the order in which they are called."""
    names = [flow]
    for _, step in walk(flows[flow].steps, flows):
        if isinstance(step, CallStep) and step.call not in names:
            names.append(step.call)
    return names


def offered(part: Lookup | Action) -> Offer:
    """A look-up or an action of a connector as flows see it."""
    return Offer(
        needs=[name for name, argument in part.arguments.items() if not argument.optional],
        takes=[name for name, argument in part.arguments.items() if argument.optional],
        gives=list(fields_given(part.answer)),
    )


WITHDRAWAL = Offer(needs=list(fields_declared(WithdrawArguments)), gives=list(fields_declared(Withdrawn)))
"""Taking back an action that waits for a person."""


def submitted_actions(files: ConnectorFiles) -> Offer:
    """The customer's actions as flows see them; what each was given and gave is that of any of the assistant's."""
    actions = [action for _, action in files.actions().values()]
    below = {
        "arguments": {name for action in actions for name in action.arguments},
        "data": {name for action in actions for name in fields_given(action.answer)},
    }
    gives = list(fields_declared(SubmittedActions))
    return Offer(
        gives=gives + [f"{field}.{name}" for field in gives for name in sorted(below.get(field.rpartition(".")[2], ()))]
    )
