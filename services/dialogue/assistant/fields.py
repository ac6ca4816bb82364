"""Which fields the values of a flow have, as far as its look-ups and actions declare them.

A name that leads nowhere leaves an empty place in a reply, which only a customer would notice. So whatever stands below
a value of a flow is compared with what the look-up that gave the value says that it gives.
"""

from collections.abc import Iterable, Mapping

from services.dialogue.assistant.schema import Flow, LookupStep, Offer, SetStep, Slot, walk
from shared.assistants.yaml_source import did_you_mean

__all__ = ["NOTHING_BELOW", "RESULT", "Fields", "fields_below", "fields_of", "fields_of_flow", "missing_field"]

Fields = frozenset[str] | None
"""Dotted names below a value; None where nobody says which there are."""

NOTHING_BELOW: Fields = frozenset()
RESULT = ("status", "error_code")
"""What the result of every action has."""


def fields_of(offers: Iterable[Offer | None], also: Iterable[str] = ()) -> Fields:
    """What any of these gives."""
    found: set[str] = set(also)
    for offer in offers:
        if offer is None or offer.gives is None:
            return None
        found |= set(offer.gives)
    return frozenset(found)


def fields_below(fields: Fields, path: str) -> Fields:
    """What is below one of them; for a list, below each of its items."""
    return (
        None if fields is None else frozenset(name[len(path) + 1 :] for name in fields if name.startswith(f"{path}."))
    )


def fields_of_flow(
    flow: Flow, slots: Mapping[str, Slot], flows: Mapping[str, Flow], lookups: Mapping[str, Offer]
) -> dict[str, Fields]:
    """The fields of each value that a flow has at some point."""
    saved: dict[str, list[Offer | None]] = {}
    unknown: set[str] = set()
    for slot in slots.values():
        if slot.check is not None:
            saved.setdefault(slot.check.save, []).append(lookups.get(slot.check.lookup))
    for _, step in walk(flow.steps, flows):
        if isinstance(step, LookupStep):
            saved.setdefault(step.save, []).append(lookups.get(step.lookup))
        elif isinstance(step, SetStep):
            unknown |= step.set.keys()
    found = dict.fromkeys(slots, NOTHING_BELOW) | {name: fields_of(offers) for name, offers in saved.items()}
    return found | dict.fromkeys(unknown)


def missing_field(name: str, given: Mapping[str, Fields]) -> str | None:
    """What is wrong with a dotted name, if anything is."""
    root, _, path = name.partition(".")
    fields = given.get(root)
    if not path or fields is None or path in fields:
        return None
    return f"there is no '{path}' in '{root}'{did_you_mean(path, fields)}"
