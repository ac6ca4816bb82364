"""An assistant as dialogue needs it: manifest, flows, replies and FAQ, read once and checked before anybody talks to it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from services.dialogue.decision import Say
from services.dialogue.faq import FaqDocument, read_faq
from services.dialogue.flow_files import BusinessFile, CallStep, Flow, SharedSlots, Slot, StepPart, walk
from services.dialogue.replies import Rendered, Replies, RepliesFile, ReplyText
from services.dialogue.sources import Document, Mistakes, read_documents
from shared.assistants import OUT_OF_SCOPE, Thresholds, load_manifest

__all__ = ["Assistant", "AssistantFiles", "load_assistant"]


@dataclass(frozen=True)
class Assistant:
    """Everything that `decide` and the renderer need; nothing in it changes."""

    name: str
    title: Mapping[str, str]
    languages: tuple[str, ...]
    default_language: str
    thresholds: Thresholds
    intents: frozenset[str]
    flows: Mapping[str, Flow]
    faq: Mapping[str, FaqDocument]
    replies: Replies
    flow_of_intent: Mapping[str, str] = field(init=False)
    steps: Mapping[str, Mapping[str, StepPart]] = field(init=False)
    slots: Mapping[str, Mapping[str, Slot]] = field(init=False)

    def __post_init__(self) -> None:
        flows = self.flows
        for name, value in {
            "flow_of_intent": {intent: flow.flow for flow in flows.values() for intent in flow.intents},
            "steps": {flow.flow: dict(walk(flow.steps, flows)) for flow in flows.values()},
            "slots": {flow.flow: all_slots(flow, flows) for flow in flows.values()},
        }.items():
            object.__setattr__(self, name, value)

    def title_of(self, intent: str) -> Mapping[str, str] | None:
        """What an intent is called to a customer; `None` for one that is not offered to anybody."""
        if intent in self.flow_of_intent:
            return self.flows[self.flow_of_intent[intent]].title
        return self.faq[intent].title if intent in self.faq else None

    def answers(self, intent: str | None) -> bool:
        """Whether there is a flow or a document for the intent."""
        return intent in self.flow_of_intent or intent in self.faq

    def render(self, say: Say) -> Rendered:
        """A reply as the customer reads it."""
        return self.replies.render(say)


def all_slots(flow: Flow, flows: Mapping[str, Flow]) -> dict[str, Slot]:
    """A flow's slots and those of the flows that it calls; where both have one, its own."""
    slots: dict[str, Slot] = {}
    for _, step in walk(flow.steps, flows):
        if isinstance(step, CallStep):
            slots |= flows[step.call].slots
    return slots | flow.slots


@dataclass
class AssistantFiles:
    """What was read, with where it stands, until it is known to be right."""

    folder: Path
    mistakes: Mistakes
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
            document = read_faq(path, self.name_of(path), languages, self.mistakes)
            if document is not None:
                self.faq[document.intent] = document
        found = [
            document
            for path in sorted((self.folder / "flows").glob("*.yml"))
            for document in read_documents(path, self.name_of(path), self.mistakes)
        ]
        if not found:
            self.mistakes.add(self.name_of(self.folder / "flows"), "there are no flows here")
        own = [document for document in found if not self.read_shared(document)]
        self.mistakes.raise_if_any()  # a mistake in a shared slot would be told again for each flow that has it
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

    def read_flow(self, document: Document) -> None:
        """One flow; a slot that it shares begins with what the shared one says."""
        value = document.value
        if isinstance(value, dict) and isinstance(slots := value.get("slots"), dict):
            for name, own in slots.items():
                shared = self.shared_source(name)
                if isinstance(own, dict) and shared is not None:
                    slots[name] = {**shared, **own}
        flow = document.parse(Flow, self.mistakes)
        if flow is None:
            return
        if flow.flow in self.flows:
            other = self.flow_documents[flow.flow].where("flow")
            self.mistakes.add(document.where("flow"), f"there is already a flow '{flow.flow}' at {other}")
        self.flows[flow.flow] = flow
        self.flow_documents[flow.flow] = document

    def shared_source(self, name: str) -> dict[str, object] | None:
        """A shared slot as it was written."""
        if name not in self.slot_documents:
            return None
        value = self.slot_documents[name].value
        return value["slots"][name]  # type: ignore[call-overload, index, return-value]


def load_assistant(folder: Path) -> Assistant:
    """Read and check an assistant's folder.

    Raises:
        ConfigurationError: something in it is wrong; the message has a line with file and line for each mistake.
    """
    from services.dialogue.references import check_references

    manifest = load_manifest(folder)
    files = AssistantFiles(folder, Mistakes())
    files.read(manifest.languages)
    intents = {path.stem for path in (folder / "nlu").glob("*.yml")} - {"sentiment"}
    assistant = Assistant(
        name=manifest.name,
        title=dict(manifest.title),
        languages=manifest.languages,
        default_language=manifest.default_language,
        thresholds=manifest.thresholds,
        intents=frozenset(intents | {OUT_OF_SCOPE}),
        flows=files.flows,
        faq=files.faq,
        replies=Replies(files.replies, manifest.default_language),
    )
    check_references(assistant, files, manifest.entities)
    files.mistakes.raise_if_any()
    return assistant
