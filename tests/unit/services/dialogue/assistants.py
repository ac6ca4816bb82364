"""A small assistant in a folder, so that a test can change one thing about it."""

from pathlib import Path

import pytest

from services.dialogue.assistant.assistant import Assistant, load_assistant
from services.dialogue.assistant.validation import BUILT_IN
from shared.errors import ConfigurationError

__all__ = ["FAQ", "FLOWS", "MANIFEST", "REPLIES", "flows", "load", "mistakes", "write_assistant"]

MANIFEST = """
name: mini
title: {zh: 小店, en: Mini}
languages: [zh, en]
default_language: en
thresholds: {clarify: 0.5}
entities: [address, word]
"""

INTENTS = (
    *("affirm", "deny", "stop", "correct", "inform", "ask_human", "greet", "out_of_scope"),
    *("book", "pay", "faq_hours", "sentiment"),
)

FAQ = """---
intent: faq_hours
title: {zh: 营业时间, en: Opening hours}
---

## zh

九点到六点。

周末休息。

## en

From nine
to six.
"""

FLOWS = """
lookups:
  tables: {takes: [day]}
  table: {needs: [number]}
actions:
  book: {needs: [table], takes: [note]}
---
flow: ask_human
title: {zh: 人工, en: A person}
intents: [ask_human]
clears: true
steps:
  - {handoff: asked, reply: person_comes}
---
flow: greet
intents: [greet]
steps: [{reply: hello}]
---
flow: book
title: {zh: 订位, en: Booking}
intents: [book]
words: {en: [book, 订]}
slots:
  table:
    name: {zh: 桌号, en: Table}
    words: {zh: [桌], en: [table]}
    entity: word
    ask: ask_table
    retry: retry_table
    attempts: 2
    options: {of: free.tables, value: number, title: table_title, where: item.seats > 1}
    check:
      lookup: table
      arguments: {number: table}
      save: chosen
      valid: chosen.open
      reject:
        - {if: chosen, reply: table_closed}
        - {reply: no_such_table}
  note:
    name: {zh: 备注, en: Note}
    words: {zh: [备注], en: [note]}
    text: {shortest: 2, longest: 20}
    ask: ask_note
    optional: true
steps:
  - lookup: tables
    save: free
    missing:
      - reply: nothing_free
      - end: true
  - collect: table
  - reply: good_choice
  - collect: note
  - confirm: confirm_booking
    no: [{reply: not_booked}]
  - action: book
    arguments: [table, note]
    reply: booked
    on_result:
      succeeded: booking_done
      rejected:
        - {if: result.error_code == 'full', reply: booking_full}
        - {reply: booking_refused}
---
flow: pay
title: {zh: 付款, en: Paying}
intents: [pay]
slots:
  way:
    name: {zh: 方式, en: Way}
    ask: ask_way
    options:
      - {title: {zh: 现金, en: Cash}, value: cash, words: [现钱, coins]}
      - title: {zh: 刷卡, en: Card}
  address:
    name: {zh: 地址, en: Address}
    words: {zh: [地址], en: [address]}
    entity: address
    text: {shortest: 5}
    pattern: '.*[0-9].*'
    ask: ask_address
    interrupted_by: any
steps:
  - collect: way
  - set: {cash: way == 'cash'}
  - if: cash
    then: [{reply: pay_cash}]
    else:
      - collect: address
      - reply: pay_card
"""

YES_NO = "options: [{title: '%s', choice: 'yes'}, {title: '%s', choice: 'no'}]"

REPLIES = f"""
person_comes: [A person comes.]
hello: [Hello!, Hi!]
ask_table: Which table?
retry_table: Which table, again?
table_title: Table {{number}}
table_closed: Table {{chosen.number}} is closed.
no_such_table: There is no table {{table}}.
nothing_free: Nothing is free.
good_choice: Good choice, {{chosen.number}}.
ask_note: {{text: 'Anything to note?', options: [{{title: Skip, choice: skip}}]}}
confirm_booking: {{text: 'Book {{table}} ({{note}})?', {YES_NO % ("Do it", "Do not")}}}
not_booked: Not booked.
booked: Booking.
booking_done: 'Booked {{chosen.number}}, code {{result.code}}.'
booking_full: It is full.
booking_refused: It was refused.
ask_way: Cash or card?
ask_address: Where to?
pay_cash: Cash it is.
pay_card: By card, bill to {{address}}.
"""

OPTIONS = {
    "offer_person": "{title: A person, intent: ask_human}, {title: No, choice: 'no'}",
    "out_of_scope": "{title: A person, intent: ask_human}",
    "lookup_failed_again": "{title: No, choice: 'no'}",
    "lookup_failed": "{title: Again, choice: retry}",
    "understanding_unavailable": "{title: A person, intent: ask_human}",
    "what_about_it": "{title: Booking, intent: book}, {title: Paying, intent: pay}",
}


def built_in() -> str:
    """The replies of the conversation itself: each says its own name and what it is given."""
    lines = []
    for name, values in BUILT_IN.items():
        text = " ".join([name, *(f"{{{value}}}" for value in sorted(values))])
        lines.append(f"{name}: {{text: '{text}', options: [{OPTIONS.get(name, '')}]}}")
    return "\n".join(lines)


def write_assistant(
    folder: Path, *, flows: str = FLOWS, en: str = REPLIES, zh: str = REPLIES, faq: str = FAQ, manifest: str = MANIFEST
) -> Path:
    """Write the files; what is not given is as it is above."""
    for path, text in {
        "assistant.yml": manifest,
        "flows/all.yml": flows,
        "replies/en.yml": en + built_in(),
        "replies/zh.yml": zh + built_in(),
        "faq/hours.md": faq,
        **{f"nlu/{intent}.yml": "" for intent in INTENTS},
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    return folder


def load(folder: Path) -> Assistant:
    """The small assistant as it is above."""
    return load_assistant(write_assistant(folder))


def mistakes(folder: Path, **files: str) -> list[str]:
    """What is wrong with the small assistant when some files are as given."""
    write_assistant(folder, **files)
    with pytest.raises(ConfigurationError) as caught:
        load_assistant(folder)
    return [line.removeprefix(f"{folder}/") for line in str(caught.value).splitlines()]


def flows(old: str, new: str) -> str:
    """The flows with one text in place of another."""
    assert old in FLOWS
    return FLOWS.replace(old, new)
