"""Reply texts: every reply in every language, in one or more wordings, with the quick replies that it offers."""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Annotated, Any, Literal
from zlib import crc32

from pydantic import BeforeValidator, Field, RootModel, model_validator

from services.dialogue.assistant.templates import CONVENTIONS, Conventions, Template, TemplateField, looked_up
from services.dialogue.assistant.values import MAX_OPTIONS, QuickReply, Say
from shared.assistants.yaml_source import Part
from shared.contracts.base import Contract
from shared.contracts.events import Option

__all__ = ["OptionText", "Rendered", "Replies", "RepliesFile", "ReplyText"]

MAX_LINES = 10

OWN = {
    "flow_changed": {
        "zh": "抱歉，我们的服务刚刚更新。您刚才办到一半的事情没有提交，需要重新开始。",
        "en": "Sorry, our service was just updated. What you were in the middle of was not submitted and has to begin "
        "anew.",
    }
}
"""Replies that an assistant may have and need not, and what is said where it has none."""

Languages = Mapping[str, Mapping[str, "ReplyText"]]


class OptionText(Part):
    """A quick reply: its title, and the intent that it stands for or the answer that it gives."""

    title: Annotated[str, Field(min_length=1, max_length=40)]
    intent: str | None = None
    choice: Literal["yes", "no", "skip", "retry"] | None = None

    @model_validator(mode="after")
    def _means_one_thing(self) -> "OptionText":
        if (self.intent is None) == (self.choice is None):
            raise ValueError("a quick reply has either an intent or a choice")
        return self

    @property
    def id(self) -> str:
        """What a client sends back when it is chosen."""
        return self.choice or f"intent:{self.intent}"


class LinesText(Part):
    """One more line for each item of a list."""

    of: str
    line: TemplateField


def wordings(value: object) -> object:
    """A reply may be written as a text or as a list of wordings, for short."""
    return {"text": value} if isinstance(value, str | list) else value


def listed(value: object) -> object:
    """One wording is a list of one."""
    return [value] if isinstance(value, str) else value


class ReplyText(Part):
    """A reply in one language."""

    text: Annotated[list[TemplateField], BeforeValidator(listed), Field(min_length=1, max_length=20)]
    lines: LinesText | None = None
    options: Annotated[list[OptionText], Field(max_length=MAX_OPTIONS)] = Field(default_factory=list)

    @property
    def names(self) -> frozenset[str]:
        """The values that the reply needs, whichever wording is chosen."""
        own = frozenset[str]().union(*(template.names for template in self.text))
        return own | {self.lines.of} if self.lines else own

    @property
    def wanted(self) -> frozenset[str]:
        """Those, and what the reply uses where it is there."""
        return self.names.union(*(template.wanted for template in self.text))


class RepliesFile(RootModel[dict[str, Annotated[ReplyText, BeforeValidator(wordings)]]]):
    """`replies/<language>.yml`."""


class Rendered(Contract):
    """A reply as the customer reads it."""

    text: str
    options: tuple[Option, ...] = ()
    source: str | None = None


class Replies:
    """The replies of an assistant in all its languages."""

    def __init__(self, languages: Languages, default_language: str, conventions: Conventions = CONVENTIONS) -> None:
        """Args:
        conventions: how days and amounts are written.
        """
        self.languages = {
            language: {**{name: own_reply(name, language) for name in OWN}, **texts}
            for language, texts in languages.items()
        }
        self.default_language = default_language
        self._conventions = conventions
        languages = self.languages
        known = frozenset[str]().union(*languages.values())
        # Asked for several times in every turn.
        self._names = {
            reply: frozenset[str]().union(*(texts[reply].wanted for texts in languages.values() if reply in texts))
            for reply in known
        }
        self._options = {reply: tuple(self._offered(reply)) for reply in known}

    def written(self, conventions: Conventions) -> "Replies":
        """The same with days and amounts written another way."""
        return Replies(self.languages, self.default_language, conventions)

    def __contains__(self, name: str) -> bool:
        return any(name in texts for texts in self.languages.values())

    def names(self, reply: str) -> frozenset[str]:
        """The values that a reply uses in any language."""
        return self._names.get(reply, frozenset())

    def options(self, reply: str) -> tuple[QuickReply, ...]:
        """The quick replies of a reply with their titles in every language."""
        return self._options.get(reply, ())

    def _offered(self, reply: str) -> Iterable[QuickReply]:
        offered: dict[str, QuickReply] = {}
        for language, texts in self.languages.items():
            for option in texts[reply].options if reply in texts else ():
                titles = offered[option.id].titles if option.id in offered else {}
                offered[option.id] = QuickReply(
                    id=option.id, titles={**titles, language: option.title}, intent=option.intent
                )
        return offered.values()

    def titles(self, reply: str, variables: Mapping[str, Any]) -> dict[str, str]:
        """A reply's first wording in every language, for use as a title."""
        return {
            language: texts[reply].text[0].fill(variables, language, self._conventions)
            for language, texts in self.languages.items()
        }

    def render(self, say: Say) -> Rendered:
        """Write a reply; the same `say` gives the same text, another turn may give another wording."""
        language = say.language if say.language in self.languages else self.default_language
        reply = self.languages[language][say.name]
        template = chosen(reply.text, say)
        lines = [template.fill(say.variables, language, self._conventions)]
        if reply.lines is not None:
            items = looked_up(say.variables, reply.lines.of)
            for item in items[:MAX_LINES] if isinstance(items, list) else []:
                values = item if isinstance(item, dict) else {"item": item}
                lines.append(reply.lines.line.fill(values, language, self._conventions))
        return Rendered(
            text="\n".join(lines),
            options=tuple(
                Option(id=option.id, title=option.titles.get(language) or option.id) for option in say.options
            ),
            source=say.source,
        )


@cache
def own_reply(name: str, language: str) -> ReplyText:
    """A reply that is said where an assistant has none."""
    said = OWN[name]
    return ReplyText.model_validate({"text": said.get(language, said["en"])})


def chosen(wordings: list[Template], say: Say) -> Template:
    """One of the wordings, the same one for the same turn of the conversation."""
    return wordings[(crc32(say.name.encode()) + say.variant) % len(wordings)]
