"""A Rasa project that understands what an assistant of ours understands.

The same intents in the same languages, from some utterances of each; the order's number as an entity and a slot;
and a rule for each intent, which answers with one sentence. That is the least work that Rasa can have with a turn: no
stories, so no network decides, and no action server, so nothing is looked up.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from shared.nlu.training_data import OUT_OF_SCOPE, TrainingData, Utterance

__all__ = ["write_project"]

VERSION = "3.1"
UTTERANCES = 10
"""Of each intent in each language; more would make training longer and no turn slower."""
EPOCHS = 20
ORDER_NUMBER = "order_number"
DIGITS = r"\d{11}"
ORDERS = (
    "我的订单 20261103001 到哪了",
    "20261103002 这个订单发货了吗",
    "where is my order 20261103003",
    "track 20261103004",
)
"""Our own entities have no examples, only a pattern; Rasa takes a pattern for what it has seen in some."""
PIPELINE: tuple[dict[str, Any], ...] = (
    {"name": "JiebaTokenizer"},
    {"name": "RegexFeaturizer", "use_word_boundaries": False},
    {"name": "LexicalSyntacticFeaturizer"},
    {"name": "CountVectorsFeaturizer"},
    {"name": "CountVectorsFeaturizer", "analyzer": "char_wb", "min_ngram": 1, "max_ngram": 4},
    {"name": "DIETClassifier", "epochs": EPOCHS, "constrain_similarities": True},
    {"name": "RegexEntityExtractor", "use_regexes": True, "use_word_boundaries": False},
    {"name": "EntitySynonymMapper"},
    {"name": "FallbackClassifier", "threshold": 0.3, "ambiguity_threshold": 0.1},
)
"""Rasa's default pipeline with its tokenizer for Chinese, and without the selector of retrieval intents."""
POLICIES = ({"name": "RulePolicy"},)


def write_project(assistant: TrainingData, folder: Path) -> None:
    """Writes the project into the folder, ready for `rasa train`."""
    examples: dict[str, list[str]] = {}
    for intent in assistant.intents:
        for language in assistant.manifest.languages:
            found = [each for each in assistant.utterances if each.intent == intent and each.language == language]
            apart = max(1, len(found) // UTTERANCES)
            examples.setdefault(intent, []).extend(map(_annotated, found[::apart][:UTTERANCES]))
    examples["track_order"].extend(re.sub(f"({DIGITS})", rf"[\1]({ORDER_NUMBER})", text) for text in ORDERS)
    _write(folder / "config.yml", recipe="default.v1", language="zh", pipeline=list(PIPELINE), policies=list(POLICIES))
    _write(folder / "credentials.yml", rest=None)
    _write(
        folder / "domain.yml",
        version=VERSION,
        intents=list(examples),
        entities=[ORDER_NUMBER, *(each for each in assistant.manifest.entities if each != ORDER_NUMBER)],
        slots={ORDER_NUMBER: {"type": "text", "mappings": [{"type": "from_entity", "entity": ORDER_NUMBER}]}},
        responses={f"utter_{intent}": [{"text": _answer(intent)}] for intent in examples},
    )
    _write(
        folder / "data" / "nlu.yml",
        version=VERSION,
        nlu=[
            {"regex": ORDER_NUMBER, "examples": _list([DIGITS])},
            *({"intent": intent, "examples": _list(texts)} for intent, texts in examples.items()),
        ],
    )
    _write(
        folder / "data" / "rules.yml",
        version=VERSION,
        rules=[_rule(intent, intent) for intent in examples] + [_rule("nlu_fallback", OUT_OF_SCOPE)],
    )


def _annotated(utterance: Utterance) -> str:
    """The text with Rasa's marks, which are also ours: `[value](label)`."""
    text = utterance.text
    for span in sorted(utterance.spans, key=lambda each: each.start, reverse=True):
        text = f"{text[: span.start]}[{text[span.start : span.end]}]({span.label}){text[span.end :]}"
    return text


def _rule(intent: str, answer: str) -> dict[str, Any]:
    return {"rule": intent, "steps": [{"intent": intent}, {"action": f"utter_{answer}"}]}


def _answer(intent: str) -> str:
    return f"关于 {intent}：您的订单 {{{ORDER_NUMBER}}} 已发货，包裹到达上海转运中心，预计明天送达。还有什么可以帮您？"


def _list(texts: list[str]) -> str:
    return "".join(f"- {text}\n" for text in texts)


def _write(path: Path, **content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content, allow_unicode=True, sort_keys=False), encoding="utf-8")
