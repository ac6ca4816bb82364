"""What an answer to a yes-or-no question says, read from its words alone: pure, in Chinese and English.

A model says how likely a yes is; where money moves, that is not enough. A sentence is cut into the words listed here.
When nothing is left over, the reading is `plain`. What is left over makes it less than that, and what asks, doubts,
denies or changes something is never a yes, whatever else the sentence says.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from services.dialogue.policy.answer_words import CHANGE, FILLER, NO, UNSURE, YES
from services.dialogue.policy.cues import NEGATION, is_question
from shared.nlu.reading import plain

__all__ = ["Answer", "Meaning", "read_answer"]


class Meaning(StrEnum):
    """What an answer comes to; `OTHER` is about something else, or says nothing."""

    YES = "yes"
    NO = "no"
    QUESTION = "question"
    UNSURE = "unsure"
    CHANGE = "change"
    OTHER = "other"


@dataclass(frozen=True)
class Answer:
    """A reading; `plain` when there is no word besides, `to_the_point` when there is none but what it is about."""

    meaning: Meaning
    plain: bool = False
    to_the_point: bool = False

    @property
    def plain_yes(self) -> bool:
        """Whether a person would take it for a yes without any doubt."""
        return self.plain and self.meaning is Meaning.YES

    @property
    def plain_no(self) -> bool:
        """Whether it is a no and nothing else."""
        return self.plain and self.meaning is Meaning.NO


ELLIPSIS = re.compile(r"(嗯|恩|唔|额|呃|en|\bm+)\s*(\.{2,}|…|。{2,}|[~～]?\.{3})", re.IGNORECASE)
TAG_QUESTION = re.compile(
    r"[?？❓❔]|[吗么嗎麼]\s*[\s.。!！~～…]*$|(?<!好)(?<!嗯)(?<!不)(?<!的)呢\s*[\s.。!！~～…]*$"
    r"|(可以|行|能|对|是|成|中)嘛\W*$|[了过完好](没|没有)\W*$|是否|\b(ok|okay)\s*不\W*$"
    r"|(?<!应该)(?<!不)(对|是|没问题|没错|可以了|行了)吧\s*[.。!！~～…]*$"
    r"|(?<!不)(?P<verb>是|对|好|行|可以|可|能|要|成|中|会|该)不((?P=verb)|可以)|^\s*(好|行|可以|是|对|中|成|要)(不|没|没有)\s*$"
    r"|[你您]们?(确定|确认|说|觉得|认为|肯定)|真的假的|当真|什么|为啥|啥|干[嘛吗]|怎么|怎样|凭|多久|多少|几[天点时]|哪[里儿个]|谁"
    r"|^\W*(really|seriously|for real|huh|pardon|sorry)\W*$|\b(why|how|when|where|who)\b(?! not\b)"
    r"|\bwhat\b(?! i (want|need|said|meant|asked))|^\W*((are|is|can|could|does|did|will|would|may|should|am|shall)"
    r" (you|i|it|this|that|we|they|there)"
    r"|do (you|i|we|they))\b"
    r"|\b(are|r) (you|u) sure\b|\b(right|correct|ok|okay|yes|no) or (not|no|wrong)\b|\byou think\b",
    re.IGNORECASE,
)
GOES_ON = (
    r"(?=[^\w]|$|[的了吧啊呀呢嘞滴哒哈哦噢喔嗯]|我[要想就确同]|帮|给我|请|麻烦|就|那|退|取消|撤|办|改|开|换|确认|同意|马上|立[刻即]|赶紧"
    r"|快|直接|谢|辛苦|ok|yes)"
)
"""What may follow a short word of agreement in Chinese, which begins many other words: 好差, 对面, 是非, 行李."""
YES_FIRST = re.compile(
    rf"((对|是|好|行|成|嗯+|恩|可以){GOES_ON}|我?确[认定](?!一?下)|没错|没问题|当然|我?同意|那就"
    r"|(?<![a-z0-9])(yes(?!-)|yeah|yep|yup|ok|okay|sure|right(?=\s*[,.!;:]|\s*$)|correct|please|no problem|of course"
    r"|go ahead|go on and|confirm(ed)?|i confirm|i agree|do it|proceed)(?![a-z0-9]))",
)
NO_FIRST = re.compile(
    r"(不(?!知|过|错|好意思|管|如|久|止|愧|仅|但|光|然|懂|明白|清楚|确定|一定|会|太|同)|别(?!人|的|处|墅)|先[别不]|暂时?不|还是[别不]|算了|拒绝|放弃"
    r"|(?<![a-z0-9])(please )?(no|nope|nah|don't|dont|do not|not (now|yet)|never ?mind|forget (it|that)"
    r"|stop|i don't|i do not|i'd rather not)(?![a-z0-9]))",
)
WORDS_OF_DOUBT = re.compile(
    r"如果|要是|假如|除非|的话|只要|前提|也许|可能|或许|大概|好像|似乎|考虑|想想|再看|再说|等等|等一?下|稍等|不确定|不知道|犹豫|等.{1,8}再"
    r"|再(确认|退|办|决定|取消|提交|付)|.就(行|可以|好|成)\W*$|先(?!生|别|不)|问一?下|不是(不|没)|并非(不|没)|没说不|不反对|不介意|不排除"
    r"|\b(if|unless|maybe|perhaps|possibly|probably|guess|wait|hold (on|up)|later|as (long|soon) as|so long as|not sure"
    r"|might|provided|providing|assuming|once|when|after|until|before|first|(on|under) (the|one) condition|mind"
    r"|as if)\b"
)
TRAILS_OFF = re.compile(r"(\.{2,}|…|。{2,})\s*$|^\W*[呃额]")
"""A yes that is not finished, or hardly begun: sure…, 呃，好"""
DOUBLE_NO = re.compile(r"(不是|并非|也?不会)(不|没)|没说不")
"""不是不行 is no no, and no yes either."""
ENDS_IN_A_QUESTION = re.compile(r"[^先还才都也]不\W*$|[^还都也](没|没有)\W*$|\bright\W*$")
"""Of a sentence that says more than yes or no: 要手续费不, `it is free, right`."""
WORDS_OF_CHANGE = re.compile(
    r"但|不过|可是|只是|除了|改成|换成|改为|改[一个到下]|换[一个到下]|更正|不对|(?<![没不])错|有误|不是这|只(?!要)|仅|一半|部分"
    r"|\b(but|except|however|instead|although|though|changed?|different|wrong|incorrect"
    r"|mistake|modify|update|replace|rather|only(?! if)|half|partial|partly|nothing)\b"
)
NO_MARKS = frozenset("👎❌🙅🚫⛔✋🛑❎×✕✖✗✘")

VARIANTS = re.compile("[\U0001f3fb-\U0001f3ff♀♂\ufffd]")
"""Skin and sex of an emoji, and what could not be decoded."""
SYMBOL_OR_MARK = re.compile(r"[\s.,;:!、，。；：！~～…·\-—–_'\"“”‘’()（）\[\]【】<>《》*#+|/\\^`]+")
NUMBER = re.compile(r"\d+")
TAIL = 3
"""So many of a number's last digits name it."""
LONGEST = 120
"""Of a sentence, in characters, that is still cut into words; a longer one says more than yes or no."""
AROUND = re.compile(
    r"一下|回来?|全额|原路|直接|尽快|钱|给|把|掉|帮|办"
    r"|\b(i|get|send|give|my|me|back|money|order|item|product|please|want|need|would|like|and)\b"
)
"""What is said around the name of a matter: get me my money back."""
Lexicon = dict[str, list[tuple[re.Pattern[str], Meaning | None]]]
CLASSES = ((Meaning.YES, YES), (Meaning.NO, NO), (Meaning.UNSURE, UNSURE), (Meaning.CHANGE, CHANGE), (None, FILLER))
MANY = re.compile(r"([a-z])\1{2,}")
TWICE = re.compile(r"([a-z])\1")
LATIN = re.compile(r"[a-z]")


def folded(text: str) -> str:
    """The text, already as it is read, so that case, variants of emoji and letters that are held down do not matter."""
    return MANY.sub(r"\1", VARIANTS.sub("", text).casefold().replace("妳", "你"))


def single(text: str) -> str:
    """The text with every doubled letter once, for comparing: `okk`, `corect`."""
    return TWICE.sub(r"\1", text)


def pattern_of(phrase: str) -> str:
    """A pattern for a phrase: of Latin letters as words of their own, whatever stands between them."""
    parts = [re.escape(part) for part in phrase.split("|") if part]
    joined = r"[\s,.!]*".join(parts)
    if not LATIN.search(phrase):
        return joined
    repeated = (
        f"(?:{joined}){{1,4}}" if len(parts) == 1 and phrase in ("yes", "no", "ok", "yep", "hao", "bu") else joined
    )
    return f"(?<![a-z0-9]){repeated}(?![a-z0-9])"


@lru_cache(maxsize=256)
def lexicon(yes: tuple[str, ...], no: tuple[str, ...]) -> Lexicon:
    """Every known phrase by its first letter, the longest first, with those of the two buttons that were offered."""
    known: dict[str, Meaning | None] = {}
    for meaning, phrases in CLASSES:
        for phrase in phrases.split():
            known.setdefault(single(folded(plain(phrase))), meaning)
    for meaning, titles in ((Meaning.NO, no), (Meaning.YES, yes)):
        for title in titles:
            known["|".join(SYMBOL_OR_MARK.sub(" ", single(folded(plain(title)))).split())] = meaning
    known.pop("", None)
    words: Lexicon = {}
    for phrase in sorted(known, key=len, reverse=True):
        words.setdefault(phrase[0], []).append((re.compile(pattern_of(phrase)), known[phrase]))
    return words


def read_answer(
    text: str,
    *,
    yes: Iterable[str] = (),
    no: Iterable[str] = (),
    shown: Iterable[str] = (),
    about: Iterable[str] = (),
) -> Answer:
    """What the text, as it is read, says to a yes-or-no question.

    Args:
        yes: the titles of the button that agrees, which say so too.
        no: those of the button that does not.
        shown: values that the question has named, which an answer may repeat.
        about: what the matter is called.
    """
    said = folded(text).strip()
    named = [folded(plain(value)) for value in shown if value]
    for value in named:
        if value in said and NEGATION.search(value):
            return Answer(
                Meaning.OTHER
            )  # 好的，不想要了: the thing, which is the reason that was shown, or the refund?
        said = said.replace(value, " ")
    said = NUMBER.sub(
        lambda match: (
            " "
            if len(match.group()) >= TAIL and any(value.endswith(match.group()) for value in named)
            else match.group()
        ),
        said,
    )
    words = lexicon(tuple(yes), tuple(no))
    found, rest = tokens(single(said), words)
    asks = TAG_QUESTION.search(said) or (
        rest and (is_question(said) or ENDS_IN_A_QUESTION.search(said)) and not said.startswith(("don't", "do not"))
    )
    if asks:
        return Answer(Meaning.QUESTION, not rest)
    if Meaning.CHANGE in found or (rest and WORDS_OF_CHANGE.search(said)):
        return Answer(Meaning.CHANGE, not rest)
    trails_off = Meaning.YES in found and Meaning.NO not in found and TRAILS_OFF.search(said)
    doubts = ELLIPSIS.search(said) or trails_off or DOUBLE_NO.search(said)
    if Meaning.UNSURE in found or doubts or (rest and WORDS_OF_DOUBT.search(said)):
        return Answer(Meaning.UNSURE, not rest)
    if not rest:
        return Answer(settled(found), plain=True)
    if NO_FIRST.match(said) and Meaning.YES not in found:
        return Answer(Meaning.NO)
    first = YES_FIRST.match(said)
    refuses = Meaning.NO in found or bool(NO_MARKS & set(said))
    if first is None or refuses or NUMBER.search(said) or NEGATION.search(said, first.end()):
        return Answer(Meaning.OTHER)
    return Answer(Meaning.YES, to_the_point=not tokens(single(without(said, about)), words)[1])


def without(said: str, about: Iterable[str]) -> str:
    """The sentence without what the matter is called and what is done with it: of `yes, refund it to me`, the yes."""
    for word in sorted(map(folded, about), key=len, reverse=True):
        said = re.sub(pattern_of("|".join(word.split())), " ", said)
    return AROUND.sub(" ", said)


def settled(found: list[Meaning]) -> Meaning:
    """What words of yes and no come to: the last word is a no or it is none, and a no that is taken back is nothing."""
    if Meaning.NO not in found:
        return Meaning.YES if found else Meaning.OTHER
    return Meaning.NO if found[-1] is Meaning.NO else Meaning.OTHER


def tokens(said: str, words: Lexicon) -> tuple[list[Meaning], bool]:
    """The meanings of the known words in their order, and whether anything is left of the sentence."""
    found: list[Meaning] = []
    rest, place = len(said) > LONGEST, 0
    while place < min(len(said), LONGEST):
        mark = SYMBOL_OR_MARK.match(said, place)
        if mark is not None:
            place = mark.end()
            continue
        for pattern, meaning in words.get(said[place], ()):
            match = pattern.match(said, place)
            if match is not None:
                place = match.end()
                if meaning is not None:
                    found.append(meaning)
                break
        else:
            rest, place = True, place + 1
    return found, rest
