"""Changes of a text that leave its meaning: how people type, not what they want."""

import random
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import cache

__all__ = [
    "PERTURBATIONS",
    "Perturbation",
    "add_emoji",
    "drop_punctuation",
    "mistype",
    "mix_languages",
    "space_out",
    "swap_homophones",
    "to_full_width",
    "to_traditional",
]

Perturbation = Callable[[str, random.Random], str]

HAN = r"[\u3400-\u9fff]"
HAN_RUN = re.compile(HAN + "{2,}")
WORD = re.compile(r"[A-Za-z]{4,}")
BETWEEN_HAN = re.compile(f"(?<={HAN})(?={HAN})")
LETTERS_A_TYPO = 40
HAN_A_TYPO = 12
HAN_A_HOMOPHONE = 10
EMOJI = ("😊", "😂", "😭", "🙏", "👍", "😡", "🤔", "❤️", "😅", "🎉", "📦", "💰")
WORDS = {
    "快递": "express", "包裹": "package", "订单": "order", "退款": "refund", "地址": "address", "发票": "invoice",
    "公司": "company", "客服": "service", "人工": "agent", "取消": "cancel", "优惠券": "coupon", "运费": "shipping fee",
    "邮费": "postage", "付款": "pay", "支付": "payment", "保修": "warranty", "退货": "return", "营业": "open",
    "周末": "weekend", "今天": "today", "明天": "tomorrow", "谢谢": "thanks", "手机": "phone", "电话": "phone",
    "天气": "weather", "电影": "movie", "音乐": "music", "问题": "problem", "帮我": "help me", "查": "check",
    "改": "change", "等": "wait", "对": "right", "你好": "hello", "再见": "bye", "机器人": "robot",
}  # fmt: skip
"""Words that people who know both languages say in the other one."""


def to_full_width(text: str, draw: random.Random) -> str:
    """ASCII as wide as a Chinese character, as some input methods write it."""
    return text.translate({**{code: code + 0xFEE0 for code in range(0x21, 0x7F)}, 0x20: 0x3000})


def to_traditional(text: str, draw: random.Random) -> str:
    """Chinese in traditional characters, by OpenCC."""
    return _converter()(text)


def swap_homophones(text: str, draw: random.Random) -> str:
    """One Chinese character, and one more of every ten, becomes a common one that is typed alike.

    That is one with the same pinyin, whatever its tone.
    """
    places = [place for place, character in enumerate(text) if len(_homophones().get(character, ())) > 1]
    changed = list(text)
    for place in draw.sample(places, min(len(places), 1 + len(places) // HAN_A_HOMOPHONE)):
        changed[place] = draw.choice([other for other in _homophones()[text[place]] if other != text[place]])
    return "".join(changed)


def mistype(text: str, draw: random.Random) -> str:
    """Characters that are swapped or missing, and letters that are doubled; at least one, and more in a long text."""
    for _ in range(1 + len(text) // (HAN_A_TYPO if HAN_RUN.search(text) else LETTERS_A_TYPO)):
        found = list(HAN_RUN.finditer(text)) or list(WORD.finditer(text))
        if not found:
            break
        run = draw.choice(found)
        at = draw.randrange(run.start(), run.end() - 1)
        kinds = ["swap", "drop"] if HAN_RUN.match(run.group()) else ["swap", "drop", "double"]
        kind = draw.choice(kinds)
        if kind == "swap":
            text = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
        elif kind == "drop":
            text = text[:at] + text[at + 1 :]
        else:
            text = text[: at + 1] + text[at:]
    return text


def mix_languages(text: str, draw: random.Random) -> str:
    """One word in the other language, where it has a well-known one."""
    if HAN_RUN.search(text):
        known = [(old, new) for old, new in WORDS.items() if old in text]
    else:
        known = [(new, old) for old, new in WORDS.items() if re.search(rf"\b{new}\b", text)]
    if not known:
        return text
    old, new = draw.choice(known)
    return text.replace(old, f" {new} " if HAN_RUN.search(text) else new, 1).strip()


def add_emoji(text: str, draw: random.Random) -> str:
    """One or two pictures at the end."""
    return text + "".join(draw.choices(EMOJI, k=draw.choice((1, 1, 2))))


def space_out(text: str, draw: random.Random) -> str:
    """Spaces between all Chinese characters, as some keyboards and copied texts have them."""
    return BETWEEN_HAN.sub(" ", text)


def drop_punctuation(text: str, draw: random.Random) -> str:
    """No punctuation at all."""
    return "".join(character for character in text if not unicodedata.category(character).startswith("P")) or text


def to_upper_case(text: str, draw: random.Random) -> str:
    """All letters large."""
    return text.upper()


PERTURBATIONS: Mapping[str, Perturbation] = {
    "full_width": to_full_width,
    "traditional": to_traditional,
    "homophones": swap_homophones,
    "typos": mistype,
    "mixed": mix_languages,
    "emoji": add_emoji,
    "spaces": space_out,
    "no_punctuation": drop_punctuation,
    "upper_case": to_upper_case,
}


@cache
def _converter() -> Callable[[str], str]:
    from opencc import OpenCC

    convert: Callable[[str], str] = OpenCC("s2t").convert
    return convert


@cache
def _homophones() -> Mapping[str, tuple[str, ...]]:
    """For each common character those that sound alike, itself among them."""
    from pypinyin import lazy_pinyin

    sounds: dict[str, list[str]] = defaultdict(list)
    # The first level of GB 2312: the 3,755 characters that are in daily use.
    for row in range(0xB0, 0xD8):
        for cell in range(0xA1, 0xFF if row < 0xD7 else 0xFA):
            character = bytes((row, cell)).decode("gb2312")
            sounds[lazy_pinyin(character)[0]].append(character)
    return {character: tuple(group) for group in sounds.values() for character in group}
