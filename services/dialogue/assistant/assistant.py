"""An assistant as dialogue needs it: manifest, flows, replies and FAQ, read once and checked before it talks."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from services.dialogue.assistant.faq import FaqDocument
from services.dialogue.assistant.formats import is_currency
from services.dialogue.assistant.loader import AssistantFiles
from services.dialogue.assistant.responses import Rendered, Replies
from services.dialogue.assistant.schema import Flow, Slot, StepPart, all_slots, walk
from services.dialogue.assistant.templates import Conventions
from services.dialogue.assistant.validation import check_references
from services.dialogue.assistant.values import Say
from shared.nlu.training_data import OUT_OF_SCOPE, Language, Thresholds, load_manifest
from shared.zones import zone_of

__all__ = ["Assistant", "load_assistant"]


@dataclass(frozen=True)
class Assistant:
    """Everything that `decide` and the renderer need; nothing in it changes."""

    name: str
    title: Mapping[Language, str]
    languages: tuple[str, ...]
    default_language: str
    timezone: str
    currency: str
    thresholds: Thresholds
    intents: frozenset[str]
    flows: Mapping[str, Flow]
    faq: Mapping[str, FaqDocument]
    replies: Replies
    plans: Mapping[str, str]
    """By flow, a digest of its steps and of those of the flows that it calls."""
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

    def of(self, *, timezone: str | None = None, currency: str | None = None) -> "Assistant":
        """The same in another company's time zone and currency.

        Raises:
            ValueError: there is no such time zone.
        """
        timezone, currency = timezone or self.timezone, currency or self.currency
        replies = self.replies.written(Conventions(zone_of(timezone), currency))
        return replace(self, timezone=timezone, currency=currency, replies=replies)

    def render(self, say: Say) -> Rendered:
        """A reply as the customer reads it."""
        return self.replies.render(say)


def load_assistant(folder: Path) -> Assistant:
    """Read and check an assistant's folder.

    Raises:
        ConfigurationError: something in it is wrong; the message has a line with file and line for each mistake.
    """
    manifest = load_manifest(folder)
    intents = frozenset(path.stem for path in (folder / "nlu").glob("*.yml")) - {"sentiment"} | {OUT_OF_SCOPE}
    files = AssistantFiles(folder)
    files.read(manifest.languages)
    if not is_currency(manifest.currency):
        where = files.name_of(folder / "assistant.yml")
        files.mistakes.add(where, f"there is no currency '{manifest.currency}'; one is, for example, 'CNY'")
    check_references(files, manifest, intents)
    files.mistakes.raise_if_any()
    return Assistant(
        name=manifest.name,
        title=manifest.title,
        languages=manifest.languages,
        default_language=manifest.default_language,
        timezone=manifest.timezone,
        currency=manifest.currency,
        thresholds=manifest.thresholds,
        intents=intents,
        flows=files.flows,
        faq=files.faq,
        plans=files.plans(),
        replies=Replies(
            files.replies, manifest.default_language, Conventions(zone_of(manifest.timezone), manifest.currency)
        ),
    )
