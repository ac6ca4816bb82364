"""CrossWOZ's dialogue acts (Zhu et al. 2020) as intents and spans, and back.

An act is an intent, a domain, a slot and a value. A value that is said in the text is a span of the text; what has no
such value ("none", yes and no, a domain that is chosen) is an intent with its value.
"""

import json
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.quality.data import Act, Parts, stratified
from shared.nlu.training_data import Span, Utterance

__all__ = ["acts_of", "read_crosswoz", "utterance_of"]

SAID = ("Inform", "Recommend")  # the intents whose values are said
UNSAID = ("", "none", "是", "否")
JOINT = "+"


def read_crosswoz(folder: Path) -> Parts:
    """`val.json.zip` and `test.json.zip`. Training is on the validation part, of which a tenth is kept for validation.

    The published training part is not needed, so figures are for 450 dialogues of training, not for 5,012.
    """
    dialogues = _read(folder / "val.json.zip")
    kept, cut = stratified(dialogues, 0.1, lambda _: "all alike")
    test = _read(folder / "test.json.zip")
    return Parts(_flat(kept), _flat(cut), _flat(test), [acts for dialogue in test for _text, acts in dialogue])


def utterance_of(text: str, acts: Iterable[Act]) -> Utterance:
    """What the model learns of a text: every kind of act as an intent, values that are said as spans."""
    spans: list[Span] = []
    intents: list[str] = []
    for act in acts:
        name = _name(act)
        if name not in intents:
            intents.append(name)
        if not _is_said(act):
            continue
        at = text.find(act[3])
        while at >= 0 and any(at < span.end and at + len(act[3]) > span.start for span in spans):
            at = text.find(act[3], at + 1)
        if at >= 0:
            spans.append(Span(JOINT.join(act[:3]), at, at + len(act[3])))
    first, *others = intents or ["General+none+none+none"]
    spans.sort(key=lambda span: span.start)
    return Utterance(text, "zh", first, spans=tuple(spans), others=tuple(others))


def acts_of(intents: Iterable[str], entities: Iterable[tuple[str, str]]) -> set[Act]:
    """The acts that intents and entities (label, text) stand for; an intent whose value is said adds none by itself."""
    found: set[Act] = set()
    for name in intents:
        parts = name.split(JOINT)
        if len(parts) == 4:
            found.add((parts[0], parts[1], parts[2], parts[3]))
    for label, value in entities:
        intent, domain, slot = label.split(JOINT)
        found.add((intent, domain, slot, value))
    return found


def _name(act: Act) -> str:
    return JOINT.join(act[:3] if _is_said(act) else act)


def _is_said(act: Act) -> bool:
    return act[0] in SAID and act[3] not in UNSAID


def _read(path: Path) -> list[list[tuple[str, list[Act]]]]:
    """The dialogues, each as its texts with their acts."""
    with zipfile.ZipFile(path) as archive:
        content = json.loads(archive.read(path.name.removesuffix(".zip")))
    return [
        [
            (message["content"], [(act[0], act[1], act[2], act[3]) for act in message["dialog_act"]])
            for message in dialogue["messages"]
        ]
        for dialogue in content.values()
    ]


def _flat(dialogues: Sequence[Sequence[tuple[str, list[Act]]]]) -> list[Utterance]:
    return [utterance_of(text, acts) for dialogue in dialogues for text, acts in dialogue]
