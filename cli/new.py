"""`zhiyin new`: the folder of an assistant that greets, answers one question and calls a person, to build on."""

import re
import shutil
from pathlib import Path
from typing import Any

import yaml

from cli.errors import UsageError
from services.dialogue.assistant.validation import BUILT_IN

__all__ = ["new"]

NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
KEPT = ("affirm", "deny", "stop", "correct", "inform", "wait", "ask_human", "greet", "thank", "goodbye",
        "faq_opening_hours", "out_of_scope", "sentiment")  # fmt: skip
"""Sentences that are said to every assistant, taken from the demo's."""
FLOWS = """\
# What the assistant does. `zhiyin check` says what is wrong here; docs/build-an-assistant.md says what there is.
flow: ask_human
title: {zh: 转人工, en: Talk to a person}
intents: [ask_human]
clears: true
steps:
  - handoff: customer_asked
    reply: handoff_started

---
flow: greet
intents: [greet]
steps: [{reply: greet}]

---
flow: thank
intents: [thank]
steps: [{reply: thank}]

---
flow: goodbye
intents: [goodbye]
clears: true
steps: [{reply: goodbye}]
"""
FAQ = """\
---
intent: faq_opening_hours
title: {zh: 服务时间, en: Opening hours}
---

## zh

我们的服务时间是每天 9:00–18:00。

## en

We are here every day from 9:00 to 18:00.
"""
TESTS = """\
# Conversations that must go like this: `zhiyin test` holds them.
- conversation: 问候、营业时间、人工
  turns:
    - user: 你好
      expect: [greet]
    - user: 你们几点上班
      expect: [faq_answer]
    - user: 转人工
      expect: [handoff_started]
      handoff: customer_asked

- conversation: Hello, a person please
  turns:
    - user: hello there
      expect: [greet]
      language: en
    - user: I want to talk to a human
      expect: [handoff_started]
      handoff: customer_asked
"""
OWN = {
    "zh": {
        "welcome": "您好，我是智能客服。请直接告诉我您需要什么。",
        "out_of_scope": "抱歉，这个我帮不上忙。需要为您转人工吗？",
        "lookup_failed": "抱歉，系统暂时没有响应，没能查到。要再试一次吗？",
        "lookup_failed_again": "非常抱歉，系统仍然无法访问。您可以稍后再来，或者由人工为您处理。需要转人工吗？",
    },
    "en": {
        "welcome": "Hello, I'm the assistant. Tell me in your own words what you need.",
        "out_of_scope": "I'm sorry, I can't help with that. Shall I bring in a person?",
        "lookup_failed": "Sorry, the system isn't responding, so I couldn't look that up. Shall I try again?",
        "lookup_failed_again": "I'm very sorry, the system still can't be reached. Shall I bring in a person?",
    },
}
"""Where the demo's words are about its shop."""


def new(folder: Path, demo: Path) -> None:
    """Writes the folder of a new assistant that `zhiyin check` has nothing to say against.

    Raises:
        UsageError: the folder is there already, or its name can be none of an assistant.
    """
    if not NAME.fullmatch(folder.name):
        raise UsageError(f"An assistant's name has small letters, digits, - and _, as `shop`, and not {folder.name!r}.")
    if folder.exists():
        raise UsageError(f"{folder} is there already.")
    for part in ("nlu", "flows", "replies", "faq", "tests", "heldout"):
        (folder / part).mkdir(parents=True)
    for intent in KEPT:
        shutil.copyfile(demo / "nlu" / f"{intent}.yml", folder / "nlu" / f"{intent}.yml")
    # Business does not start without them; the demo's are about its shop alone.
    shutil.copytree(demo / "rules", folder / "rules")
    manifest = yaml.safe_load((demo / "assistant.yml").read_text(encoding="utf-8"))
    manifest |= {"name": folder.name, "title": {"zh": folder.name, "en": folder.name}}
    write(folder / "assistant.yml", manifest)
    (folder / "flows" / "people.yml").write_text(FLOWS, encoding="utf-8")
    (folder / "faq" / "opening_hours.md").write_text(FAQ, encoding="utf-8")
    (folder / "tests" / "first.yml").write_text(TESTS, encoding="utf-8")
    for language in manifest["languages"]:
        said = yaml.safe_load((demo / "replies" / f"{language}.yml").read_text(encoding="utf-8"))
        names = [*BUILT_IN, "greet", "thank", "goodbye", "handoff_started"]
        write(
            folder / "replies" / f"{language}.yml", {name: reply(said[name], OWN[language].get(name)) for name in names}
        )
        sentences = yaml.safe_load((demo / "heldout" / f"{language}.yml").read_text(encoding="utf-8"))
        write(folder / "heldout" / f"{language}.yml", [each for each in sentences if each["intent"] in KEPT])


def reply(said: Any, own: str | None) -> Any:
    """A reply of the demo's that offers only what the new assistant can do, and speaks of no shop."""
    if not isinstance(said, dict):
        return own or said
    options = [each for each in said.get("options", []) if each.get("intent", KEPT[0]) in KEPT]
    return said | {"text": own or said["text"], "options": options}


def write(path: Path, document: Any) -> None:
    """A YAML file that people read and change."""
    path.write_text(yaml.safe_dump(document, allow_unicode=True, sort_keys=False, width=110), encoding="utf-8")
