"""Cues that Chinese and English sentences give besides their meaning: language, order, doubt, reference.

All of them read a text in the one form that `shared/nlu/reading.py` gives it.
"""

import re
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from functools import lru_cache

from shared.nlu.reading import plain

__all__ = [
    "NEGATION",
    "asks_for_something",
    "asks_to_repeat",
    "best_match",
    "gives_up",
    "hesitates",
    "is_question",
    "language_of",
    "matches",
    "mentions",
    "normal",
    "normal_title",
    "ordinal",
    "ordinals",
    "points",
    "refers_back",
    "says_only",
]

CJK = r"\u3400-\u4dbf\u4e00-\u9fff"
CJK_CHARACTER = re.compile(f"[{CJK}]")
LATIN_WORD = re.compile(r"(?<![A-Za-z0-9])[A-Za-z][a-z']+(?![A-Za-z0-9])|(?<![A-Za-z0-9])[AI](?![A-Za-z0-9])")
CJK_PER_WORD = 1.7

LONGEST_REQUEST = 60
REPEAT = re.compile(
    r"(不好意思|抱歉|对不起|请|麻烦|能不能|能|可以|你|您|我|刚才|刚刚|啥|什么|嗯|啊|[，,。 ])*"
    r"(再(说|讲|发|问)(一遍|一次|一下)|重复(一遍|一次|一下)|没(看清|看懂|听清|听懂|明白)|(问|说)的?(是|了)?(什么|啥))"
    r"(吗|吧|呢|好吗|可以吗|行吗|你的|您的|刚才的|问题|[，,。.？?！!～~ ])*"
    r"|(sorry|pardon|please|excuse me|can you|could you|i|[,. ])*"
    r"((say|ask) (that|it) again|repeat( (that|it|the question|your question))?|come again|what was (the|your) question"
    r"|what did you (say|ask)|(didn't|did not|don't) (get|catch|understand) (that|you|the question|your question)"
    r"|pardon|pardon me|sorry\?)(please|[,.!? ])*",
    re.IGNORECASE,
)

HESITATES = re.compile(
    r"(嗯|呃|额|好的?|那|先|请|麻烦|让我|容我|等我|我|您|你|再|还要?|得|需要|想|[，,。.… ])*"
    r"(稍等|等等|等一?[下会]儿?|想(一?想|一?下|一?会儿?)|(考虑|琢磨)(考虑|琢磨|一?下|一?会儿?))"
    r"(一?[下会]儿?|哈|啊|呢|吧|哦|先|[，,。.！!～~… ])*"
    r"|(ok(ay)?|well|so|hm+|um+|sorry|please|just|[,.… ])*"
    r"(wait|hold on|hang on|bear with me|((give me|just) )?(a|one) (moment|second|sec|minute|min)"
    r"|(let me|i('ll)?( have to| need to| want to)?) think( about (it|this|that)| (it|this|that) over)?"
    r"|i need (a|some|more) (moment|minute|time)( to think)?)"
    r"((just )?(a|one) (moment|second|sec|minute|min|bit)|please|first|[,.!… ])*",
    re.IGNORECASE,
)

QUESTION = re.compile(
    r"[?？][?？!！.。~\s]*$|[吗呢么]\s*[。.！!~～\s]*$|什么|怎么|怎样|多久|多少|几天|几点|哪[里儿些个几]|到哪|为什么|为啥|干[嘛吗]|是否|能不能|可不可以|有没有|如何|啥时候"
    r"|^(what|how|when|where|which|why|who|can|could|do|does|did|is|are|will|would|may|should)\b",
    re.IGNORECASE,
)
REQUEST = re.compile(
    r"\s*(请|麻烦你?|先|那|能不能|可以)*(帮我|给我看|我要|我想(?!要)|看看|看一?下|查一?[查下]|查询)"
    r"|\s*(please |pls |now |can you |could you )*"
    r"(show|list|track|check|cancel|i want to|i'd like to|i need to|give me)\b",
    re.IGNORECASE,
)
NEGATION = re.compile(
    r"不|没|别|甭|勿|未|\b(no|not|never|none|nothing|cannot|without|\w+n't"
    r"|(do|does|did|is|are|was|were|ca|wo|would|could|should|have|has|had|need)nt)\b",
    re.IGNORECASE,
)
GIVES_UP = re.compile(r"\s*(算了|不弄了|不办了|(never ?mind|forget (it|that)|leave it)\b)", re.IGNORECASE)
REFERENCE = re.compile(
    r"它|[这那](一?单|笔|个?订单)|该订单|[刚][才刚][那这的]|上面[那这的]"
    r"|\b(it|(this|that) (one|order)|the same( one| order)?)\b",
    re.IGNORECASE,
)

POINTS = re.compile(
    r"\W*(就|对|嗯|是|我|要|选|那|只有|[，,\s])*[这那此它唯]一?[个单笔款件]?(订单|订单吧|的|啊|吧|呀|了)*\W*"
    r"|\W*((yes|ok|well|just|only|it's|it is|the)\W+)*(this|that|it|only)( one| order)?( please| then)?\W*",
    re.IGNORECASE,
)

DIGITS = {"一": 1, "二": 2, "两": 2, "三": 3, "四": 4, "五": 5, "六": 6, "七": 7, "八": 8, "九": 9, "十": 10}
ENGLISH_ORDINALS = {
    "first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "1st": 1, "2nd": 2, "3rd": 3, "4th": 4, "5th": 5,
}  # fmt: skip
NUMBER_OF_PLACES = r"[一二两三四五六七八九十]|\d{1,2}"
CHINESE_ORDINAL = re.compile(
    r"第\s*([一二三四五六七八九十]|\d{1,2})(?![次天时])|^\s*([一二两三四五六七八九十]|\d{1,2})\s*[号个]?\s*[。.]?\s*$"
)
ENGLISH_ORDINAL = re.compile(
    rf"\b({'|'.join(ENGLISH_ORDINALS)})\b(?! (?:name|time|of all))|\b(?:number|option|no\.?)\s*(\d{{1,2}})\b",
    re.IGNORECASE,
)
FROM_THE_END = re.compile(
    rf"(?:倒数|从(?:最?下面?|底下|最?后面?)(?:往[上前])?(?:数|起|开始|的)*)第?\s*({NUMBER_OF_PLACES})"
    rf"|\b({'|'.join(ENGLISH_ORDINALS)})(?: one)?[ -](?:from the (?:bottom|end)|(?:to )?last)\b",
    re.IGNORECASE,
)
LAST_BUT = re.compile(r"\blast but (one|two|three)\b|\b(penultimate|next[ -]to[ -](?:the )?last)\b", re.IGNORECASE)
BUT = {"one": 2, "two": 3, "three": 4}
SEVERAL = re.compile(
    rf"\s*(?:{NUMBER_OF_PLACES})(?:\s*(?:和|跟|与|及|、|,|&|and)\s*(?:{NUMBER_OF_PLACES}))+\s*[。.]?\s*", re.IGNORECASE
)
PLACE = re.compile(NUMBER_OF_PLACES)
RUN = re.compile(
    rf"(前|最后|后)\s*({NUMBER_OF_PLACES})\s*[个单笔]|\b(first|last)\s+(two|three|four|\d{{1,2}})\b", re.IGNORECASE
)
RUN_LENGTHS = {"two": 2, "three": 3, "four": 4}
LAST = re.compile(r"最后(一|那|的|面)|最下面|末尾|\blast one\b|\bthe last\b|^\W*last\W*$|\bbottom\b", re.IGNORECASE)
NEWEST = re.compile(r"最新|最近|最上面|\b(latest|newest|most recent)\b|\btop one\b", re.IGNORECASE)

SMALL_WORDS = re.compile(
    r"还是|算了|换成|改成|改为|等一?等|等一下|[弄搞说写打]?错了|订单|单号|不对|应该|抬头|发票|名义|就行|就好|就可以|可以|谢谢|麻烦|一个|一张|我[要们]?|给我|帮我|请|开|写|填|是|用|按|选|要|就|的|了|吧|啊|哈|呀|嗯|那|好"
    r"|\b(me|my|for|just|it's|its|it|is|i'm|i|the|a|an|please|thanks|thank you|make|out|to|as|put|invoice|title|on|one"
    r"|would|like|want|that|yes|no|sorry|wait|oops|hang|should|be|instead|rather|meant|mean|order|number|actually|ok|in|name|use|under|we|our|us|type)\b",
    re.IGNORECASE,
)
PUNCTUATION = re.compile(rf"[^\w{CJK}]+|_")
WORD = re.compile(r"[a-z][a-z']+")
LEAST_MISSPELT = 5
"""A shorter word, misspelt, is too often another word."""
ALIKE = 0.8
STOP_WORDS = frozenset(("the", "and", "for", "one", "with", "order", "please", "that", "this", "not", "from", "my"))
TAIL = re.compile(r"(?<!\d)(\d{3,})(?!\d)")


def normal(text: str) -> str:
    """The text without case, spaces and punctuation, for comparing."""
    return PUNCTUATION.sub("", text.casefold())


@lru_cache(maxsize=1024)
def normal_title(title: str) -> str:
    """A title that was offered, for comparing."""
    return normal(plain(title))


def language_of(text: str, *, certain: bool) -> str | None:
    """`zh` or `en` when the text says; numbers, codes and, where it has to be `certain`, single words do not."""
    chinese, english = len(CJK_CHARACTER.findall(text)), len(LATIN_WORD.findall(text))
    if chinese / CJK_PER_WORD >= english:
        return "zh" if chinese >= (2 if certain else 1) else None
    return "en" if english >= (2 if certain else 1) else None


def asks_to_repeat(text: str) -> bool:
    """Whether the customer wants to hear the last question again."""
    return len(text) <= LONGEST_REQUEST and REPEAT.fullmatch(text.strip()) is not None


def hesitates(text: str) -> bool:
    """Whether the customer only asks for a moment: 让我考虑一下."""
    return len(text) <= LONGEST_REQUEST and HESITATES.fullmatch(text.strip()) is not None


def asks_for_something(text: str) -> bool:
    """Whether the sentence is put as a request: 帮我查一下, `show me my orders`."""
    return REQUEST.match(text) is not None


def is_question(text: str) -> bool:
    """Whether the sentence asks for something."""
    return QUESTION.search(text.strip()) is not None


def gives_up(text: str) -> bool:
    """Whether something is asked for instead of what is under way: 算了，帮我查物流."""
    return GIVES_UP.match(text) is not None


def refers_back(text: str) -> bool:
    """Whether the sentence points at something that was named before."""
    return REFERENCE.search(text) is not None


def mentions(text: str, words: Iterable[str]) -> bool:
    """Whether one of the words stands in the text; a Latin one as a word of its own."""
    folded = text.casefold()
    for word in map(str.casefold, words):
        if CJK_CHARACTER.search(word):
            if word in folded:
                return True
        elif word in folded and re.search(rf"(?<![a-z0-9]){re.escape(word)}s?(?![a-z0-9])", folded):
            return True
    return False


def says_only(text: str, word: str) -> bool:
    """Whether the sentence says the word and nothing else of substance: `just me, personally` for `personally`."""
    if not mentions(text, [word]):
        return False
    left = re.sub(re.escape(word) + "s?" * word.isascii(), " ", text, flags=re.IGNORECASE)
    return not normal(SMALL_WORDS.sub(" ", left))


def points(text: str) -> bool:
    """Whether the sentence does nothing but point at what is there: 就这个, `that one`."""
    return POINTS.fullmatch(text) is not None and not is_question(text)


def ordinal(text: str, count: int) -> int | None:
    """Which of `count` things, counted from 0, words like 第二个, `the first one`, ③ or a bare `2` pick.

    Several places pick none.
    """
    places = ordinals(text, count)
    return places[0] if len(places) == 1 else None


def ordinals(text: str, count: int) -> list[int]:
    """All of them that are picked: 第一个和第二个."""
    return [place - 1 for place in dict.fromkeys(places_in(text, count)) if 1 <= place <= count]


def places_in(text: str, count: int) -> list[int]:
    """Every place that is named, counted from 1."""
    if match := FROM_THE_END.search(text):
        return [count + 1 - place_of(match.group(1) or match.group(2))]
    if match := LAST_BUT.search(text):
        return [count + 1 - BUT.get((match.group(1) or "one").lower(), 2)]
    if SEVERAL.fullmatch(text):
        return [place_of(each) for each in PLACE.findall(text)]
    if match := RUN.search(text):
        length = min(count, place_of(match.group(2) or match.group(4)))
        first = (match.group(1) or match.group(3)).lower() in ("前", "first")
        return list(range(1, length + 1) if first else range(count + 1 - length, count + 1))
    if found := list(CHINESE_ORDINAL.finditer(text)) or list(ENGLISH_ORDINAL.finditer(text)):
        return [place_of(match.group(1) or match.group(2)) for match in found]
    if LAST.search(text):
        return [count]
    return [1] if NEWEST.search(text) else []


def place_of(said: str) -> int:
    """The number that a place is called by."""
    small = said.lower()
    return DIGITS.get(small) or ENGLISH_ORDINALS.get(small) or RUN_LENGTHS.get(small) or int(small)


def best_match(text: str, candidates: Sequence[Iterable[str]]) -> int | None:
    """Which candidate the text shares words with, if it is only one: 耳机那个 picks 蓝牙耳机, 尾号 002 the number.

    Words that several candidates have say nothing.
    """
    matching = matches(text, candidates)
    return matching[0] if len(matching) == 1 else None


def matches(text: str, candidates: Sequence[Iterable[str]]) -> list[int]:
    """Every candidate that the text shares words with; where it shares none, a word of it may be misspelt."""
    wordings = [frozenset[str]().union(*(fragments_of(line) for line in lines)) for lines in candidates]
    said = fragments(text)
    tails = TAIL.findall(text)
    matching, misspelt = [], []
    for index, wording in enumerate(wordings):
        others = [other for other in wordings if other is not wording]
        own = {fragment for fragment in wording if not any(fragment in other for other in others)}
        numbers = [fragment for fragment in own if fragment.isdigit()]
        if said & own or any(number.endswith(tail) for number in numbers for tail in tails):
            matching.append(index)
        elif len(text) <= LONGEST_REQUEST and any(alike(word, each) for word in said for each in own):
            misspelt.append(index)
    return matching or misspelt


def alike(said: str, word: str) -> bool:
    """Whether a word was meant that is not spelt quite so: umbrela."""
    if min(len(said), len(word)) < LEAST_MISSPELT or not (said.isascii() and word.isascii()) or said[0].isdigit():
        return False
    return SequenceMatcher(None, said, word, autojunk=False).ratio() >= ALIKE


@lru_cache(maxsize=1024)
def fragments_of(title: str) -> frozenset[str]:
    """The fragments of a title that was offered."""
    return frozenset(fragments(plain(title)))


def fragments(text: str) -> set[str]:
    """Words of Latin letters (without a plural s), long numbers, and pairs of neighbouring Chinese characters."""
    folded = text.casefold()
    words = {word.removesuffix("s") for word in WORD.findall(folded) if len(word) > 2} - STOP_WORDS
    pairs = {
        run[index : index + 2]
        for run in re.findall(rf"[{CJK}a-z0-9]+", folded)
        for index in range(len(run) - 1)
        if CJK_CHARACTER.search(run[index : index + 2])
    }
    return words | pairs | set(re.findall(r"\d{5,}", folded))
