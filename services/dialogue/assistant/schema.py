"""What may stand in `flows/*.yml`: flows with slots and steps, slots that flows share, what business offers."""

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, PlainValidator, Tag, model_validator

from services.dialogue.assistant.phrases import pattern_of
from services.dialogue.assistant.values import MAX_OPTIONS, MAX_TEXT_KEPT
from shared.assistants.expressions import ExpressionField, Scope
from shared.assistants.yaml_source import Part, did_you_mean
from shared.contracts.actions import ActionStatus
from shared.nlu.reading import plain

__all__ = [
    "ActionStep",
    "BusinessFile",
    "CallStep",
    "Case",
    "Check",
    "CollectStep",
    "ConfirmStep",
    "EndStep",
    "Flow",
    "HandoffStep",
    "IfStep",
    "LookupStep",
    "Offer",
    "ReplyStep",
    "SetStep",
    "SharedSlots",
    "Slot",
    "SlotList",
    "SlotOption",
    "Step",
    "StepPart",
    "all_slots",
    "picked",
    "walk",
]

INTERRUPTIONS = ("ask_human", "stop", "greet", "thank", "goodbye")
"""Intents that are no answer even where any sentence could be one."""

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]


def read_form(word: str) -> str:
    """What customers may call something, in the form in which their sentences are read."""
    if not (form := plain(word).strip()):
        raise ValueError("there is nothing to be seen in this word")
    return form


def phrase(written: str) -> str:
    """Words with … between them, which stays."""
    read_form(written.replace("…", ""))
    return written


Word = Annotated[str, AfterValidator(read_form)]
ShortWord = Annotated[str, Field(max_length=60), AfterValidator(read_form)]
Phrase = Annotated[str, Field(max_length=60), AfterValidator(phrase)]
Texts = Annotated[dict[str, Annotated[str, Field(min_length=1, max_length=60)]], Field(min_length=1)]


def same_names(value: object) -> object:
    """`[order_number]` is short for `{order_number: order_number}`."""
    return {name: name for name in value} if isinstance(value, list) else value


def cases(value: object) -> object:
    """The name of a reply is short for one case that always holds."""
    return [{"reply": value}] if isinstance(value, str) else value


def regular_expression(value: object) -> re.Pattern[str]:
    """A pattern for the whole value of a slot."""
    try:
        return re.compile(str(value))
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None


class Case(Part):
    """A reply and when it is the one; without `if` it always is."""

    when: Annotated[ExpressionField | None, Field(alias="if")] = None
    reply: str


Arguments = Annotated[dict[str, ExpressionField], BeforeValidator(same_names)]
Cases = Annotated[list[Case], BeforeValidator(cases), Field(min_length=1)]


def picked(choices: list[Case], scope: Scope) -> str | None:
    """The first reply whose condition holds."""
    return next((case.reply for case in choices if case.when is None or case.when.holds(scope)), None)


class SlotText(Part):
    """A slot that takes the customer's own words: how long they may be."""

    shortest: Annotated[int, Field(ge=1)] = 2
    longest: Annotated[int, Field(ge=1, le=MAX_TEXT_KEPT)] = 200


class SlotOption(Part):
    """One of the answers that a slot suggests; without `value` the title is the value.

    With `ask` it is no value yet, and the reply asks for the rest: a company, but which?
    """

    title: Texts
    value: str | None = None
    words: list[Word] = Field(default_factory=list)
    ask: str | None = None

    @model_validator(mode="after")
    def _is_a_value_or_asks(self) -> Self:
        if self.ask is not None and self.value is not None:
            raise ValueError("an option has a value, or asks for one")
        return self


class SlotList(Part):
    """Answers that a slot suggests from a look-up's list: the field that is the value, the reply that is the title."""

    of: str
    value: str
    title: str
    where: ExpressionField | None = None


class Check(Part):
    """A look-up that says whether a value will do; `reject` is said when it will not."""

    lookup: Name
    arguments: Arguments = Field(default_factory=dict)
    save: Name
    valid: ExpressionField | None = None
    reject: Cases


class Slot(Part):
    """Something that a flow needs to know: how to ask for it, what counts as an answer, and what does not."""

    name: Texts
    words: dict[str, list[Word]] = Field(default_factory=dict)
    entity: str | None = None
    text: SlotText | None = None
    pattern: Annotated[re.Pattern[str], PlainValidator(regular_expression)] | None = None
    options: Annotated[list[SlotOption], Field(max_length=MAX_OPTIONS)] | SlotList | None = None
    check: Check | None = None
    ask: str
    retry: str | None = None
    attempts: Annotated[int, Field(ge=1, le=10)] = 3
    optional: bool = False
    takes: list[str] = Field(default_factory=list)
    interrupted_by: Literal["any"] | list[str] = Field(default_factory=lambda: list(INTERRUPTIONS))

    @model_validator(mode="after")
    def _can_be_answered(self) -> Self:
        if self.entity is None and self.text is None and not self.options:
            raise ValueError("a slot needs an entity, text or options; nothing else can fill it")
        return self


class StepPart(Part):
    """A step; `branches` are the steps within it by the name of their key."""

    def branches(self) -> Mapping[str, "list[Step]"]:
        """The steps that this one contains."""
        return {}


class CollectStep(StepPart):
    """Ask for a slot until it is filled."""

    collect: Name


class LookupStep(StepPart):
    """Ask business something; `missing` runs when it does not exist."""

    lookup: Name
    arguments: Arguments = Field(default_factory=dict)
    save: Name
    missing: "list[Step]" = Field(default_factory=list)

    def branches(self) -> Mapping[str, "list[Step]"]:
        return {"missing": self.missing}


class IfStep(StepPart):
    """Go one way or the other."""

    condition: Annotated[ExpressionField, Field(alias="if")]
    then: "list[Step]"
    otherwise: Annotated["list[Step]", Field(alias="else")] = Field(default_factory=list)

    def branches(self) -> Mapping[str, "list[Step]"]:
        return {"then": self.then, "else": self.otherwise}


class ReplyStep(StepPart):
    """Say something."""

    reply: str


class ConfirmStep(StepPart):
    """Ask whether to go on; `no` runs when the customer does not want to."""

    confirm: str
    no: "list[Step]" = Field(min_length=1)

    def branches(self) -> Mapping[str, "list[Step]"]:
        return {"no": self.no}


class ActionStep(StepPart):
    """Have business do something, say so at once, and say what became of it when it is known."""

    action: Name
    arguments: Arguments = Field(default_factory=dict)
    reply: str
    on_result: Annotated[dict[ActionStatus, Cases], Field(min_length=1)]


class HandoffStep(StepPart):
    """Ask a person to take over."""

    handoff: Annotated[str, Field(min_length=1, max_length=64)]
    reply: str


class SetStep(StepPart):
    """Give names to values."""

    set: Annotated[dict[Name, ExpressionField], Field(min_length=1)]


class CallStep(StepPart):
    """Run another flow's steps as if they stood here."""

    call: Name


class EndStep(StepPart):
    """The flow is over."""

    end: Literal[True]


KINDS = ("collect", "lookup", "if", "confirm", "action", "handoff", "set", "call", "end", "reply")


def kind_of_step(value: object) -> str | None:
    """Which step a mapping is, by its first key that names one."""
    return next((kind for kind in KINDS if isinstance(value, dict) and kind in value), None)


def is_step(value: object) -> object:
    """Refuse what is no step, with a hint."""
    if kind_of_step(value) is None:
        keys = list(value) if isinstance(value, dict) else [value]
        hint = next(filter(None, (did_you_mean(str(key), KINDS) for key in keys)), "")
        raise ValueError(f"this is no step; a step has one of: {', '.join(KINDS)}{hint}")
    return value


Step = Annotated[
    Annotated[CollectStep, Tag("collect")]
    | Annotated[LookupStep, Tag("lookup")]
    | Annotated[IfStep, Tag("if")]
    | Annotated[ConfirmStep, Tag("confirm")]
    | Annotated[ActionStep, Tag("action")]
    | Annotated[HandoffStep, Tag("handoff")]
    | Annotated[SetStep, Tag("set")]
    | Annotated[CallStep, Tag("call")]
    | Annotated[EndStep, Tag("end")]
    | Annotated[ReplyStep, Tag("reply")],
    Discriminator(kind_of_step),
    BeforeValidator(is_step),
]


class Flow(Part):
    """One thing that the assistant can do with a customer.

    `words` are what customers call it, so that 别取消 is understood; `phrases` begin it whatever the model says, with …
    for what may stand between, and `follow_ups` do so while something that was submitted stands.
    """

    flow: Name
    title: Texts | None = None
    intents: list[str] = Field(default_factory=list)
    words: dict[str, list[ShortWord]] = Field(default_factory=dict)
    phrases: dict[str, list[Phrase]] = Field(default_factory=dict)
    follow_ups: dict[str, list[Phrase]] = Field(default_factory=dict)
    clears: bool = False
    slots: dict[Name, Slot] = Field(default_factory=dict)
    steps: Annotated[list[Step], Field(min_length=1)]

    @cached_property
    def begun_by(self) -> re.Pattern[str] | None:
        """Its phrases."""
        return pattern_of(phrase for phrases in self.phrases.values() for phrase in phrases)

    @cached_property
    def followed_up_by(self) -> re.Pattern[str] | None:
        """Its follow-ups."""
        return pattern_of(phrase for phrases in self.follow_ups.values() for phrase in phrases)

    @cached_property
    def called(self) -> tuple[str, ...]:
        """Its words in all languages."""
        return tuple(word for words in self.words.values() for word in words)


class SharedSlots(Part):
    """Slots that every flow may collect; a flow's own slot of the same name changes the fields that it states."""

    slots: dict[Name, Slot]


def dotted(value: object) -> object:
    """`[count, {orders: [status]}]` is short for `[count, orders, orders.status]`."""
    if not isinstance(value, list):
        return value
    names: list[object] = []
    for each in value:
        for name, below in each.items() if isinstance(each, dict) else [(each, [])]:
            inner = dotted(below)
            names += [name, *(f"{name}.{one}" for one in inner)] if isinstance(inner, list) else [each]
    return names


FieldName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$")]


class Offer(Part):
    """One look-up or action: the arguments that it needs, those that it also takes, and the fields that it gives.

    What is below a field, or in each item of a list, stands below its name. Without `gives` any name passes.
    """

    needs: list[str] = Field(default_factory=list)
    takes: list[str] = Field(default_factory=list)
    gives: Annotated[list[FieldName], BeforeValidator(dotted)] | None = None


class BusinessFile(Part):
    """The look-ups and actions that business offers."""

    lookups: dict[Name, Offer]
    actions: dict[Name, Offer]


def walk(steps: "list[Step]", flows: Mapping[str, Flow], prefix: str = "") -> Iterator[tuple[str, StepPart]]:
    """Every step with its id, in the order in which they stand; those of called flows where they are called."""
    for index, step in enumerate(steps):
        here = f"{prefix}{index}"
        yield here, step
        for key, inner in step.branches().items():
            yield from walk(inner, flows, f"{here}.{key}.")
        if isinstance(step, CallStep) and step.call in flows:
            yield from walk(flows[step.call].steps, flows, f"{here}.call.")


def all_slots(flow: Flow, flows: Mapping[str, Flow]) -> dict[str, Slot]:
    """A flow's slots and those of the flows that it calls; where both have one, its own."""
    slots: dict[str, Slot] = {}
    for _, step in walk(flow.steps, flows):
        if isinstance(step, CallStep) and step.call in flows:
            slots |= flows[step.call].slots
    return slots | flow.slots
