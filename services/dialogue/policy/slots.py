"""Values in slots: what a sentence offers for them, and putting it in or taking it out."""

from collections.abc import Iterable

from services.dialogue.assistant.schema import CollectStep, ReplyStep, Slot
from services.dialogue.assistant.values import QuickReply
from services.dialogue.policy.context import TurnContext
from services.dialogue.policy.cues import best_match, matches, mentions, ordinal, ordinals, says_only
from services.dialogue.policy.user_input import UserInput, typed_option
from shared.nlu.normalisation import tidy

__all__ = [
    "SHORT",
    "acceptable",
    "change",
    "entity_values",
    "fill",
    "filled",
    "in_own_words",
    "named",
    "new_values",
    "picked_option",
    "refused_options",
    "several_options",
]

LONGEST_LIST = 40
"""Up to this length, a text may name several of the suggested answers; a longer one tells a story about them."""
SHORT = 10
"""Up to this length, a text may name a place in a list even for a slot that takes any text."""


def fill(context: TurnContext, values: dict[str, str | None]) -> None:
    """Put values into slots; the latest is the last in the mapping."""
    frame = context.frame
    kept = {name: value for name, value in frame.slots.items() if name not in values}
    context.update(slots={**kept, **values})
    for name, value in values.items():
        context.mention(context.slots[name].entity, value)


def change(context: TurnContext, values: dict[str, str | None]) -> None:
    """Put other values into slots, or `None` to ask again; what was said after them may be said again."""
    frame = context.frame
    old = {name: value for name in values if (value := frame.slots.get(name)) is not None}
    context.update(
        slots={name: value for name, value in frame.slots.items() if name not in values},
        excluded={**frame.excluded, **old},
        memo=memo_before(context, set(values)),
    )
    fill(context, {name: value for name, value in values.items() if value is not None})
    context.note(f"{frame.flow}: corrects {', '.join(sorted(values))}")


def memo_before(context: TurnContext, names: set[str]) -> dict[str, str]:
    """The memo without what was said after one of the slots was collected."""
    kept: dict[str, str] = {}
    after = False
    for here, step in context.assistant.steps[context.frame.flow].items():
        after = after or (isinstance(step, CollectStep) and step.collect in names)
        if here in context.frame.memo and not (after and isinstance(step, ReplyStep)):
            kept[here] = context.frame.memo[here]
    return kept


def acceptable(slot: Slot, value: str) -> bool:
    """Whether the form of a value is right."""
    return slot.pattern is None or slot.pattern.fullmatch(value) is not None


def entity_values(slot: Slot, user_input: UserInput) -> tuple[str, ...]:
    """Values in the sentence that the slot could take."""
    found = user_input.entities.get(slot.entity, ()) if slot.entity else ()
    return tuple(value for value in found if acceptable(slot, value))


def new_values(context: TurnContext, user_input: UserInput, *, filled: bool) -> dict[str, str | None]:
    """The one value that the sentence has for each slot that is `filled` with another, or that is not filled yet."""
    values: dict[str, str | None] = {}
    for name, slot in context.slots.items():
        current = context.frame.slots.get(name)
        if (current is not None) is filled:
            found = [value for value in entity_values(slot, user_input) if value != current]
            if len(found) == 1:
                values[name] = found[0]
    return values


def filled(context: TurnContext) -> list[str]:
    """The slots that can be corrected, in the order in which they were filled."""
    return [name for name, value in context.frame.slots.items() if value is not None and name in context.slots]


def named(context: TurnContext, user_input: UserInput) -> list[str]:
    """The filled slots that the sentence calls by name."""
    words = {name: [word for words in context.slots[name].words.values() for word in words] for name in filled(context)}
    return [name for name in words if mentions(user_input.text, words[name])]


def picked_option(
    slot: Slot, user_input: UserInput, offered: tuple[QuickReply, ...], others: tuple[QuickReply, ...]
) -> QuickReply | None:
    """The suggested answer that the sentence names by its place or its words; `others` by their words only."""
    text = user_input.meant
    listed = list(offered)
    named = [option for option in listed if calls(slot, text, option.words)]
    if len(named) == 1:
        return named[0]
    if slot.text is not None or entity_values(slot, user_input):
        return typed_option(text, listed, numbers=len(text) <= SHORT)
    known = (*listed, *others)
    place = best_match(text, [option.titles.values() for option in known])
    if place is None:
        place = ordinal(text, len(listed))
    return known[place] if place is not None else None


def several_options(
    slot: Slot, user_input: UserInput, offered: tuple[QuickReply, ...], others: tuple[QuickReply, ...]
) -> tuple[str, ...]:
    """The values of the suggested answers where the sentence names more than one: 第一个和第二个, 耳机和保温杯."""
    if slot.text is not None or len(user_input.text) > LONGEST_LIST:
        return ()
    known = (*offered, *others)
    named = matches(user_input.meant, [option.titles.values() for option in known])
    places = named or ordinals(user_input.meant, len(offered))
    values = tuple(value for place in places if (value := known[place].value))
    return values if len(values) > 1 else ()


def in_own_words(slot: Slot, user_input: UserInput, said: str) -> str | None:
    """A value as the customer wrote it, if it can be one; without what is not seen where it is a name or a number."""
    own_words = said if slot.pattern is not None else user_input.as_written(said)
    value = own_words if slot.entity is None else tidy(own_words)
    fits = slot.text is not None and len(said) >= slot.text.shortest and len(value) <= slot.text.longest
    return value if fits and acceptable(slot, value) else None


def calls(slot: Slot, text: str, words: Iterable[str]) -> bool:
    """Whether the sentence names an option by one of its words; where any text will do, it says little else.

    个人的就行 does, 深圳市个人护理用品有限公司 does not.
    """
    if slot.text is None:
        return mentions(text, words)
    return any(says_only(text, word) for word in words)


def refused_options(
    slot: Slot, user_input: UserInput, offered: tuple[QuickReply, ...], others: tuple[QuickReply, ...]
) -> list[str]:
    """The values that the sentence says are not meant: entities, and suggested answers by name, number or place."""
    values = list(user_input.refused.get(slot.entity or "", ()))
    known = [option for option in (*offered, *others) if option.value is not None]
    for part in user_input.rejected:
        named = [option for option in known if calls(slot, part, option.words)]
        if slot.text is None:
            places = matches(part, [option.titles.values() for option in known]) or ordinals(part, len(known))
            named += [known[place] for place in places]
        values += [str(option.value) for option in named]
    return list(dict.fromkeys(values))
