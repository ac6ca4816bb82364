"""Whether everything that an assistant's files name is there: replies, slots, flows, intents, look-ups, values."""

from collections.abc import Iterable, Mapping
from functools import cached_property

from services.dialogue.assistant.fields import (
    NOTHING_BELOW,
    RESULT,
    Fields,
    fields_below,
    fields_of,
    fields_of_flow,
    missing_field,
)
from services.dialogue.assistant.loader import AssistantFiles
from services.dialogue.assistant.responses import Replies, ReplyText
from services.dialogue.assistant.schema import (
    ActionStep,
    CallStep,
    Case,
    CollectStep,
    ConfirmStep,
    Flow,
    HandoffStep,
    IfStep,
    LookupStep,
    ReplyStep,
    SetStep,
    Slot,
    SlotList,
    StepPart,
    all_slots,
    walk,
)
from services.dialogue.assistant.values import MAX_LOOKUPS
from shared.assistants.expressions import Expression
from shared.assistants.yaml_source import Document, Place, did_you_mean
from shared.nlu.training_data import OUT_OF_SCOPE, AssistantManifest

__all__ = ["ASK_HUMAN", "BUILT_IN", "CONTROL", "PATTERN_ENTITIES", "WITHDRAW", "check_references"]

ASK_HUMAN = "ask_human"

WITHDRAW = "withdraw"
"""The intent that takes back what was submitted, in an assistant that has it."""

CONTROL = frozenset(("affirm", "deny", "stop", "correct", "inform", "wait", OUT_OF_SCOPE))
"""Intents that need no flow, because the conversation itself answers them."""

PATTERN_ENTITIES = frozenset(("order_number", "phone", "amount", "date", "email", "tax_id"))
"""Entities that the intent service finds by their form, for every assistant."""

BUILT_IN: Mapping[str, frozenset[str]] = {
    "welcome": frozenset(),
    "resume": frozenset(("flow",)),
    "stopped": frozenset(("flow",)),
    "nothing_to_stop": frozenset(),
    "corrected": frozenset(),
    "which_to_change": frozenset(),
    "already_submitted": frozenset(),
    "submitted_pending": frozenset(("flow", "about")),
    "submitted_waiting": frozenset(("flow", "about")),
    "submitted_done": frozenset(("flow", "about")),
    "left_alone": frozenset(("flow",)),
    "which_value": frozenset(("slot",)),
    "clarify": frozenset(),
    "not_understood": frozenset(),
    "offer_person": frozenset(),
    "out_of_scope": frozenset(),
    "lookup_failed": frozenset(),
    "lookup_failed_again": frozenset(),
    "understanding_unavailable": frozenset(),
    "confirm_unclear": frozenset(),
    "take_your_time": frozenset(),
    "acknowledged": frozenset(),
    "what_about_it": frozenset(("value",)),
    "choice_expired": frozenset(),
    "session_expired": frozenset(("flow",)),
    "faq_answer": frozenset(("answer", "title")),
    "action_succeeded": frozenset(),
    "action_failed": frozenset(),
    "handoff_waiting": frozenset(),
    "action_not_done": frozenset(("flow",)),
    "customer_changed": frozenset(),
}
"""Replies that the conversation itself gives, and the values that each may use."""

ALWAYS_KNOWN = frozenset(("language", "sentiment"))


def check_references(files: AssistantFiles, manifest: AssistantManifest, intents: frozenset[str]) -> None:
    """Note every name in the files that leads nowhere."""
    check_replies(files, manifest.languages, intents)
    check_intents(files, intents)
    if not has_circle(files):
        for name in files.flows:
            FlowCheck(files, manifest, name).run()


def check_replies(files: AssistantFiles, languages: tuple[str, ...], intents: frozenset[str]) -> None:
    """Every reply is there in every language and offers the same; those of the conversation itself are there."""
    default = languages[0]
    everywhere = set(BUILT_IN).union(*files.replies.values())
    for language in languages:
        replies, document = files.replies.get(language, {}), files.reply_documents.get(language)
        if document is None:
            files.mistakes.add(files.name_of(files.folder / "replies" / f"{language}.yml"), "has no replies")
            continue
        for name in sorted(everywhere - set(replies)):
            files.mistakes.add(document.where(), missing_reply(files, name, language))
        for name, reply in replies.items():
            for index, option in enumerate(reply.options):
                if option.intent is not None and not answerable(files, option.intent):
                    hint = did_you_mean(option.intent, intents)
                    files.mistakes.add(
                        document.where(name, "options", index, "intent"), f"nothing answers '{option.intent}'{hint}"
                    )
            if name in BUILT_IN:
                check_names(files, document.where(name), reply.names, BUILT_IN[name])
            twin = files.replies.get(default, {}).get(name)
            if twin is not None and [option.id for option in twin.options] != [option.id for option in reply.options]:
                files.mistakes.add(document.where(name, "options"), f"'{name}' offers something else in {default}")


def missing_reply(files: AssistantFiles, name: str, language: str) -> str:
    """What is said of a reply that a language lacks: the languages that have it, or what it may be called there."""
    elsewhere = [other for other, replies in sorted(files.replies.items()) if name in replies]
    if elsewhere:
        said = f"the reply '{name}' is there in {', '.join(elsewhere)}, but not in {language}"
    else:
        said = f"there is no reply '{name}'"
    return said + did_you_mean(name, files.replies[language])


def answerable(files: AssistantFiles, intent: str) -> bool:
    """Whether choosing an intent leads anywhere."""
    return intent == "stop" or intent in files.faq or any(intent in flow.intents for flow in files.flows.values())


def check_intents(files: AssistantFiles, intents: frozenset[str]) -> None:
    """Every intent is known and has one answer."""
    owners: dict[str, str] = {}
    for name, flow in files.flows.items():
        document = files.flow_documents[name]
        for index, intent in enumerate(flow.intents):
            where = document.where("intents", index)
            if intent not in intents:
                files.mistakes.add(where, f"there is no intent '{intent}'{did_you_mean(intent, intents)}")
            if intent in owners:
                files.mistakes.add(where, f"'{intent}' already begins the flow '{owners[intent]}'")
            owners[intent] = name
    for intent, faq in files.faq.items():
        where = files.name_of(files.folder / "faq" / f"{faq.file}.md")
        if intent not in intents:
            files.mistakes.add(where, f"there is no intent '{intent}'{did_you_mean(intent, intents)}")
        if intent in owners:
            files.mistakes.add(where, f"'{intent}' already begins the flow '{owners[intent]}'")
    for intent in sorted(intents - CONTROL - owners.keys() - files.faq.keys()):
        files.mistakes.add(files.name_of(files.folder / "flows"), f"no flow and no document answers '{intent}'")
    if ASK_HUMAN not in owners:
        files.mistakes.add(files.name_of(files.folder / "flows"), f"no flow has the intent '{ASK_HUMAN}'")


def has_circle(files: AssistantFiles) -> bool:
    """Whether a flow calls itself, directly or through others."""
    calls = {
        name: {step.call for _, step in walk(flow.steps, {}) if isinstance(step, CallStep)}
        for name, flow in files.flows.items()
    }
    for name in files.flows:
        seen: set[str] = set()
        ahead = set(calls[name])
        while ahead:
            seen |= ahead
            ahead = set().union(*(calls.get(each, set()) for each in ahead)) - seen
        if name in seen:
            files.mistakes.add(files.flow_documents[name].where("flow"), f"'{name}' calls itself")
            return True
    return False


def check_names(
    files: AssistantFiles,
    where: str,
    used: Iterable[str],
    known: Iterable[str],
    given: Mapping[str, Fields] | None = None,
    *,
    condition: bool = False,
) -> None:
    """Every value that is used is one that is there, and has the field that is wanted of it."""
    for name in sorted(used):
        root = name.split(".")[0]
        if root not in known:
            hint = did_you_mean(root, known)
            if condition and not hint and root == name:
                hint = f"; a text needs quotes: '{root}'"
            files.mistakes.add(where, f"there is no value '{root}' here{hint}")
        elif problem := missing_field(name, given or {}):
            files.mistakes.add(where, problem)


class FlowCheck:
    """One flow and everything that it names."""

    def __init__(self, files: AssistantFiles, manifest: AssistantManifest, name: str) -> None:
        self.files = files
        self.manifest = manifest
        self.flow: Flow = files.flows[name]
        self.document: Document = files.flow_documents[name]
        self.replies = Replies(files.replies, manifest.default_language)
        self.slots = all_slots(self.flow, files.flows)

    def run(self) -> None:
        """Note what is wrong."""
        for call in (step.call for _, step in walk(self.flow.steps, {}) if isinstance(step, CallStep)):
            if call not in self.files.flows:
                return self.add(("steps",), f"there is no flow '{call}'{did_you_mean(call, self.files.flows)}")
        for key in ("words", "phrases", "follow_ups"):
            for language in sorted(getattr(self.flow, key).keys() - set(self.manifest.languages)):
                self.add((key, language), f"the assistant does not speak '{language}'")
        if (self.flow.phrases or self.flow.follow_ups) and not self.flow.intents:
            self.add(("flow",), "phrases need an intent that they stand for")
        for name, slot in self.flow.slots.items():
            self.check_slot(name, slot)
        for step_id, step in walk(self.flow.steps, {}):
            self.check_step(
                tuple(int(part) if part.isdigit() else part for part in f"steps.{step_id}".split(".")), step
            )
        self.check_size()

    def add(self, place: Place, message: str) -> None:
        """Note a mistake at a place in the flow's file."""
        self.files.mistakes.add(self.document.where(*place), message)

    @cached_property
    def known(self) -> frozenset[str]:
        """The names of the values that the flow has at some point."""
        names = set(self.slots) | ALWAYS_KNOWN | {slot.check.save for slot in self.slots.values() if slot.check}
        for _, step in walk(self.flow.steps, self.files.flows):
            if isinstance(step, LookupStep):
                names.add(step.save)
            elif isinstance(step, SetStep):
                names |= step.set.keys()
        return frozenset(names)

    @cached_property
    def given(self) -> dict[str, Fields]:
        """The fields of the flow's values."""
        return dict.fromkeys(ALWAYS_KNOWN, NOTHING_BELOW) | fields_of_flow(
            self.flow, self.slots, self.files.flows, self.files.business.lookups
        )

    def check_slot(self, name: str, slot: Slot) -> None:
        """A slot's replies, entity, intents, options and check."""
        place = ("slots", name)
        self.texts((*place, "name"), slot.name)
        entities = PATTERN_ENTITIES | set(self.manifest.entities)
        if slot.entity is not None and slot.entity not in entities:
            self.add((*place, "entity"), f"there is no entity '{slot.entity}'{did_you_mean(slot.entity, entities)}")
        self.reply((*place, "ask"), slot.ask)
        if slot.retry is not None:
            self.reply((*place, "retry"), slot.retry)
        if isinstance(slot.options, SlotList):
            self.listing((*place, "options"), slot.options)
        elif slot.options is not None:
            for index, option in enumerate(slot.options):
                self.texts((*place, "options", index, "title"), option.title)
                if option.ask is not None:
                    self.reply((*place, "options", index, "ask"), option.ask)
        if slot.check is not None:
            self.arguments((*place, "check"), "look-up", slot.check.lookup, slot.check.arguments)
            self.cases((*place, "check", "reject"), slot.check.reject)
            if slot.check.valid is not None:
                self.names((*place, "check", "valid"), slot.check.valid.names)

    def listing(self, place: Place, options: SlotList) -> None:
        """Options that come from a list: the list, and what is used of each of its items."""
        self.names((*place, "of"), [options.of])
        items = self.items_of(options.of, self.given)
        self.line(self.document.where(*place, "value"), [options.value], items)
        if options.where is not None:
            self.names((*place, "where"), options.where.names, {"item": items or None})
        if options.title not in self.replies:
            self.add((*place, "title"), self.no_reply(options.title))
        for language, reply in self.wordings(options.title):
            self.line(
                f"{self.document.where(*place, 'title')}: reply '{options.title}' in {language}", reply.names, items
            )

    def check_step(self, place: Place, step: StepPart) -> None:
        """Whatever one step names."""
        match step:
            case CollectStep(collect=name):
                if name not in self.slots:
                    self.add(place, f"the flow has no slot '{name}'{did_you_mean(name, self.slots)}")
                if self.flow.title is None and self.flow.intents:
                    self.add(("flow",), "a flow that asks something needs a title")
            case LookupStep(lookup=name, arguments=arguments):
                self.arguments(place, "look-up", name, arguments)
            case IfStep(condition=condition):
                self.names(place, condition.names)
            case ReplyStep(reply=name):
                self.reply(place, name)
            case HandoffStep(reply=name):
                self.reply(place, name)
            case ConfirmStep(confirm=name):
                self.reply(place, name)
                if name in self.replies and not {"yes", "no"} <= {option.id for option in self.replies.options(name)}:
                    self.add(place, f"the reply '{name}' should offer the choices yes and no")
            case SetStep(set=values):
                for condition in values.values():
                    self.names(place, condition.names)
            case ActionStep(action=name, arguments=arguments, reply=reply, on_result=results):
                self.arguments(place, "action", name, arguments)
                self.reply(place, reply)
                result = {"result": fields_of([self.files.business.actions.get(name)], RESULT)}
                for status, choices in results.items():
                    self.cases((*place, "on_result", status), choices, result)

    def check_size(self) -> None:
        """A flow keeps every look-up that it makes."""
        count = sum(isinstance(step, LookupStep) for _, step in walk(self.flow.steps, self.files.flows))
        count += sum(slot.check is not None for slot in self.slots.values())
        if count > MAX_LOOKUPS:
            self.add(("flow",), f"a flow makes at most {MAX_LOOKUPS} look-ups, this one {count}")

    def texts(self, place: Place, texts: Mapping[str, str]) -> None:
        """A title is there in every language."""
        for language in self.manifest.languages:
            if language not in texts:
                self.add(place, f"has no {language}")

    def names(self, place: Place, used: Iterable[str], also: Mapping[str, Fields] | None = None) -> None:
        """Values that a condition uses; `also` are those that are there at this place only."""
        known, given = self.known | set(also or ()), {**self.given, **(also or {})}
        check_names(self.files, self.document.where(*place), used, known, given, condition=True)

    def reply(self, place: Place, name: str, also: Mapping[str, Fields] | None = None) -> None:
        """A reply, and the values that it uses; `also` are those that are there at this place only."""
        if name not in self.replies:
            self.add(place, self.no_reply(name))
            return
        known, given = self.known | set(also or ()), {**self.given, **(also or {})}
        for language, reply in self.wordings(name):
            where = f"{self.document.where(*place)}: reply '{name}' in {language}"
            check_names(self.files, where, reply.names, known, given)
            if reply.lines is not None:
                self.line(where, reply.lines.line.names, self.items_of(reply.lines.of, given))

    def wordings(self, name: str) -> list[tuple[str, ReplyText]]:
        """A reply in each language that has it."""
        return [(language, replies[name]) for language, replies in self.files.replies.items() if name in replies]

    def line(self, where: str, used: Iterable[str], items: Fields) -> None:
        """What a text about one item of a list uses, which sees nothing but the item."""
        if items:
            for name in sorted(set(used) - items):
                self.files.mistakes.add(where, f"there is no '{name}' in an item{did_you_mean(name, items)}")

    def items_of(self, path: str, given: Mapping[str, Fields]) -> Fields:
        """The fields of each item of a list."""
        root, _, below = path.partition(".")
        return fields_below(given.get(root), below)

    def cases(self, place: Place, choices: list[Case], result: Mapping[str, Fields] | None = None) -> None:
        """Replies of which one is picked, and the values that decide which: the flow's, or an action's result alone."""
        for case in choices:
            self.reply(place, case.reply, result)
            if case.when is None:
                continue
            if result is None:
                self.names(place, case.when.names)
            else:
                check_names(self.files, self.document.where(*place), case.when.names, result, result, condition=True)

    def no_reply(self, name: str) -> str:
        """There is none, but perhaps one like it."""
        return f"there is no reply '{name}'{did_you_mean(name, set().union(*self.files.replies.values()))}"

    def arguments(self, place: Place, what: str, name: str, arguments: Mapping[str, Expression]) -> None:
        """What business offers is called with what it needs and with nothing that it does not take."""
        business = self.files.business
        offers = business.lookups if what == "look-up" else business.actions
        if name not in offers:
            self.add(place, f"business has no {what} '{name}'{did_you_mean(name, offers)}")
            return
        offer = offers[name]
        for argument in sorted(arguments.keys() - set(offer.needs) - set(offer.takes)):
            hint = did_you_mean(argument, [*offer.needs, *offer.takes])
            self.add((*place, "arguments"), f"the {what} '{name}' takes no '{argument}'{hint}")
        for argument in sorted(set(offer.needs) - arguments.keys()):
            self.add((*place, "arguments"), f"the {what} '{name}' needs '{argument}'")
        for condition in arguments.values():
            self.names((*place, "arguments"), condition.names)
