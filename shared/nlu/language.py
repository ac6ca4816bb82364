"""Which language a text is in, judged by its script.

Chinese and English share no letters, so counting them decides with certainty. Statistical detectors need more
text than a customer types: they guess on "OK", "退款 please" or a lone product name.
"""

import re

from shared.contracts.understanding import Language

__all__ = ["language_of"]

MIXED_SHARE = 0.25
"""From this share of the rarer script on, a text counts as mixed; one product name in a sentence stays below it."""

HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
LATIN_TOKEN = re.compile(r"[A-Za-z0-9\u00c0-\u024f@._'’-]+")
LATIN_END = "\u0250"
WORD = re.compile(r"[A-Za-z\u00c0-\u024f'’-]{2,}|[AIai]")


def language_of(text: str) -> Language:
    """The language of a text; `other` when it has neither Chinese characters nor words in Latin letters.

    A Chinese character weighs as much as an English word. Codes, addresses of e-mail and numbers are no words.
    """
    rest, han = HAN.subn("", text)
    latin = sum(1 for token in LATIN_TOKEN.findall(text) if WORD.fullmatch(token.strip("._'’-")))
    foreign = 0 if rest.isascii() else sum(1 for each in rest if each.isalpha() and each >= LATIN_END)
    if han + latin == 0 or foreign > han + 4 * latin:
        return "other"
    if min(han, latin) >= MIXED_SHARE * (han + latin):
        return "mixed"
    return "zh" if han > latin else "en"
