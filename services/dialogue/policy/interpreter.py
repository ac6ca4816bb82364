"""Running flows: from the first step over everything already known, up to the next question or look-up."""

from enum import Enum, auto

from pydantic import JsonValue

from services.dialogue.assistant.schema import (
    ActionStep,
    CallStep,
    Check,
    CollectStep,
    ConfirmStep,
    EndStep,
    HandoffStep,
    IfStep,
    LookupStep,
    ReplyStep,
    SetStep,
    Slot,
    SlotList,
    SlotOption,
    Step,
    picked,
)
from services.dialogue.assistant.values import MAX_LOOKUPS, MAX_OPTIONS, MAX_TEXT_KEPT, QuickReply, value_id
from services.dialogue.policy.bounds import bounded, digest
from services.dialogue.policy.context import TurnContext
from services.dialogue.policy.cues import best_match
from services.dialogue.policy.decision import ActionCall, HandoffCall, LookupCall, Origin
from services.dialogue.policy.state import Found, Pending, Submitted
from shared.assistants.expressions import Expression, resolve

__all__ = ["run", "stop"]


MAX_ABOUT = 60


class Signal(Enum):
    """How to go on after a step."""

    NEXT = auto()
    WAIT = auto()
    END = auto()
    AGAIN = auto()
    """A slot was emptied; steps before this one may depend on it."""


def run(context: TurnContext) -> None:
    """Run the flows until one waits for the customer or business, or all have ended."""
    while context.frames:
        match Run(context).steps(context.flow.steps, ""):
            case Signal.WAIT:
                return
            case Signal.NEXT | Signal.END:
                context.pop("ends")
                if context.handoff is not None:
                    return
                if context.frames:
                    context.say("resume", {"flow": context.title(context.frame.flow)})


def stop(context: TurnContext) -> None:
    """End the current flow at the customer's wish, and return to the one that it interrupted."""
    submitted = context.last_submitted(context.frame.flow) if context.frame.committed else None
    if submitted is None:
        context.say("stopped", {"flow": context.title(context.frame.flow)})
        submitted = context.last_open()
    if submitted is not None:
        context.say_submitted(submitted)
    context.pop("stopped")
    context.finished = None
    if context.frames:
        context.say("resume", {"flow": context.title(context.frame.flow)})
        run(context)


class Run:
    """One pass over the current flow."""

    def __init__(self, context: TurnContext) -> None:
        self.context = context
        self.asked: dict[str, Found] = {}
        self.collected: dict[str, JsonValue] = {}
        self.scope: dict[str, JsonValue] = {
            "language": context.language or context.assistant.default_language,
            "sentiment": context.frame.mood,
            **context.frame.slots,
        }

    def steps(self, steps: list[Step], prefix: str) -> Signal:
        """A list of steps, one after the other."""
        for index, step in enumerate(steps):
            signal = self.step(step, f"{prefix}{index}")
            if signal is not Signal.NEXT:
                return signal
        return Signal.NEXT

    def step(self, step: Step, here: str) -> Signal:
        """One step."""
        match step:
            case CollectStep():
                return self.collect(step.collect)
            case LookupStep():
                return self.look_up(step, here)
            case IfStep():
                branch = "then" if step.condition.holds(self.scope) else "else"
                return self.steps(step.branches()[branch], f"{here}.{branch}.")
            case ConfirmStep():
                return self.confirm(step, here)
            case ActionStep():
                return self.act(step, here)
            case HandoffStep():
                return self.hand_off(step)
            case SetStep():
                self.scope |= {name: condition.value(self.scope) for name, condition in step.set.items()}
            case CallStep():
                return self.steps(self.context.assistant.flows[step.call].steps, f"{here}.call.")
            case EndStep():
                return Signal.END
            case ReplyStep():
                self.reply(step.reply, here)
        return Signal.NEXT

    def reply(self, name: str, here: str) -> None:
        """Reply, unless this step has replied before with the same values."""
        mark = digest({key: resolve(self.scope, key) for key in self.context.assistant.replies.names(name)})
        if self.context.frame.memo.get(here) != mark:
            self.context.say(name, self.scope)
            self.remember(here, mark)

    def remember(self, here: str, mark: str) -> None:
        """Note in the frame's memo that a step is done."""
        self.context.update(memo={**self.context.frame.memo, here: mark})

    # Look-ups

    def arguments(self, conditions: dict[str, Expression]) -> dict[str, JsonValue]:
        """The arguments of a call, without those that have no value."""
        values = {name: bounded(condition.value(self.scope)) for name, condition in conditions.items()}
        return {name: value for name, value in values.items() if value is not None}

    def ask_business(self, name: str, conditions: dict[str, Expression]) -> Found | None:
        """The look-up's answer; `None`, with the look-up requested, when there is none yet."""
        arguments = self.arguments(conditions)
        key = f"{name}:{digest(arguments)}"
        found = self.context.frame.lookups.get(key)
        if found is None:
            self.context.lookup = LookupCall(name=name, arguments=arguments)
            self.context.pending = Pending(kind="lookup", name=name, mark=key)
            self.context.note(f"{self.context.frame.flow}: looks up {name}")
            return None
        self.asked[key] = found
        others = {other: kept for other, kept in self.context.frame.lookups.items() if other not in self.asked}
        room = MAX_LOOKUPS - len(self.asked)
        self.context.update(lookups=dict(list(others.items())[-room:] if room > 0 else []) | self.asked)
        return found

    def look_up(self, step: LookupStep, here: str) -> Signal:
        """Store a look-up's answer under the step's name."""
        found = self.ask_business(step.lookup, step.arguments)
        if found is None:
            return Signal.WAIT
        self.scope[step.save] = dict(found.data) if found.found else None
        return Signal.NEXT if found.found else self.steps(step.missing, f"{here}.missing.")

    # Slots

    def collect(self, name: str) -> Signal:
        """Collect a slot: ask until it has a value that passes its check."""
        slot, frame = self.context.slots[name], self.context.frame
        if name not in frame.slots:
            return self.ask(name, slot)
        value = frame.slots[name]
        if value is not None and slot.check is not None:
            signal = self.check(name, value, slot, slot.check)
            if signal is not Signal.NEXT:
                return signal
        self.collected[name] = value
        self.context.update(
            attempts={other: tries for other, tries in self.context.frame.attempts.items() if other != name}
        )
        return Signal.NEXT

    def check(self, name: str, value: str, slot: Slot, check: Check) -> Signal:
        """Check the value with business; if it is rejected, say why and empty the slot."""
        found = self.ask_business(check.lookup, check.arguments)
        if found is None:
            return Signal.WAIT
        self.scope[check.save] = dict(found.data) if found.found else None
        if found.found and (check.valid is None or check.valid.holds(self.scope)):
            return Signal.NEXT
        self.context.note(f"{self.context.frame.flow}: refuses {name}")
        reply = picked(check.reject, self.scope)
        if reply is not None:
            self.context.say(reply, self.scope)
        frame = self.context.frame
        tries = frame.attempts.get(name, 0) + 1
        self.context.update(
            heard="",
            slots={key: value for key, value in frame.slots.items() if key != name},
            excluded={**frame.excluded, name: value},
            attempts={**frame.attempts, name: tries},
        )
        if tries < slot.attempts:
            return Signal.AGAIN
        self.context.offer_person(slot=name)
        return Signal.WAIT

    def ask(self, name: str, slot: Slot) -> Signal:
        """Ask for a slot, unless what the customer said at first already names one of its options."""
        frame = self.context.frame
        options, others = self.options(name, slot)
        known = (*options, *others)
        if frame.heard and known and slot.text is None:
            self.context.update(heard="")
            index = best_match(frame.heard, [(*option.titles.values(), *option.words) for option in known])
            if index is not None:
                self.context.update(slots={**frame.slots, name: known[index].value})
                self.context.note(f"{frame.flow}: {name} picked from what was said")
                return Signal.AGAIN
        reply = slot.retry if self.context.retrying and slot.retry is not None else slot.ask
        self.context.say(reply, self.scope, options=options)
        self.context.update(offered={**frame.offered, name: options}, others={**frame.others, name: others})
        self.context.pending = Pending(kind="slot", name=name)
        self.context.note(f"{frame.flow}: asks for {name}")
        return Signal.WAIT

    def options(self, name: str, slot: Slot) -> tuple[tuple[QuickReply, ...], tuple[QuickReply, ...]]:
        """The answers that a slot suggests, and others of its list; without what was just said to be wrong."""
        frame = self.context.frame
        wrong = {frame.excluded.get(name, ""), "", *frame.refused.get(name, ())}
        found: list[tuple[QuickReply, bool]] = []
        if isinstance(slot.options, SlotList):
            items = resolve(self.scope, slot.options.of)
            for item in items if isinstance(items, list) else []:
                where = slot.options.where
                suggested = where is None or where.holds({**self.scope, "item": item})
                found.append((self.listed(name, item, slot.options), suggested))
        else:
            for index, option in enumerate(slot.options or ()):
                found.append((self.fixed(name, index, option), True))
        usable = [(option, suggested) for option, suggested in found if option.value not in wrong]
        return (
            tuple(option for option, suggested in usable if suggested)[:MAX_OPTIONS],
            tuple(option for option, suggested in usable if not suggested)[:MAX_OPTIONS],
        )

    def fixed(self, name: str, index: int, option: SlotOption) -> QuickReply:
        """An answer that the file suggests; its title is its value where it states none."""
        language = self.context.language or self.context.assistant.default_language
        return QuickReply(
            id=f"value:{name}:{index}",
            titles=dict(option.title),
            value=None if option.ask else option.value or option.title.get(language, next(iter(option.title.values()))),
            words=tuple(option.words),
        )

    def listed(self, name: str, item: JsonValue, listing: SlotList) -> QuickReply:
        """One item as an option."""
        fields = item if isinstance(item, dict) else {}
        value = fields.get(listing.value)
        text = value[:MAX_TEXT_KEPT] if isinstance(value, str) else ""
        return QuickReply(
            id=value_id(name, text), titles=self.context.assistant.replies.titles(listing.title, fields), value=text
        )

    # Effects

    def confirm(self, step: ConfirmStep, here: str) -> Signal:
        """Ask for a confirmation; an answer counts only for exactly the values that were shown."""
        shown = {name: resolve(self.scope, name) for name in self.context.assistant.replies.names(step.confirm)}
        mark = digest({"shown": shown, "collected": dict(self.collected)})
        answer = self.context.frame.memo.get(here)
        if answer == f"{mark}:yes":
            return Signal.NEXT
        if answer == f"{mark}:no":
            signal = self.steps(step.no, f"{here}.no.")
            return Signal.END if signal is Signal.NEXT else signal
        self.context.say(step.confirm, self.scope)
        self.context.pending = Pending(kind="confirm", name=here, mark=mark)
        self.context.note(f"{self.context.frame.flow}: asks to confirm")
        return Signal.WAIT

    def act(self, step: ActionStep, here: str) -> Signal:
        """Request an action, once in each run of the flow."""
        context = self.context
        if here in context.frame.memo:
            return Signal.NEXT
        arguments = self.arguments(step.arguments)
        needed = {
            name
            for choices in step.on_result.values()
            for case in choices
            for name in context.assistant.replies.names(case.reply)
            if name.split(".")[0] != "result"
        }
        origin = Origin(
            flow=context.frame.flow,
            step=here,
            index=context.action_count,
            variables={name: resolve(self.scope, name) for name in sorted(needed)},
        )
        context.actions.append(
            ActionCall(index=context.action_count, name=step.action, arguments=arguments, origin=origin)
        )
        about = next((value for value in context.frame.slots.values() if value), "")
        context.submitted = (
            *context.submitted,
            Submitted(index=context.action_count, flow=context.frame.flow, about=about[:MAX_ABOUT]),
        )
        context.action_count += 1
        context.update(committed=True)
        self.remember(here, digest(arguments))
        context.note(f"{context.frame.flow}: does {step.action}")
        context.say(step.reply, self.scope)
        return Signal.NEXT

    def hand_off(self, step: HandoffStep) -> Signal:
        """Ask for a person, who goes on from here: the flow ends, and nothing is asked any more."""
        context = self.context
        before = context.abandoned or context.frame
        context.handoff = HandoffCall(reason=step.handoff, flow=before.flow, slots=dict(before.slots))
        context.note(f"{context.frame.flow}: hands over to a person")
        context.say(step.reply, self.scope)
        return Signal.END
