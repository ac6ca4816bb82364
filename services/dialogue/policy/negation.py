"""What a sentence says is *not* meant: 不是001是002, `not the keyboard`, 别取消, `don't cancel it`."""

import re
from collections.abc import Iterable

from services.dialogue.policy.cues import is_question

__all__ = ["denies", "meant", "refused", "restated"]

ASKS = "还能可要是会么该"
"""After one of these, a Chinese 不 asks or complains: 能不能退, 还不退."""

NUMBER = re.compile(
    rf"(?<![{ASKS}])(不是|不要|别(?!人|的)|除了|除去|除开|不包括|并非|而非|不选|不退|不取消|不改|不查|不开|不用|不动|先不|没说)"
    r"[^，。,;；！!？?\d]{0,6}?\s*(?P<value>\d{3,})"
    r"|\b(not|isn't|aren't|no longer|anything but|everything but|all but|except|except for"
    r"|other than|instead of|rather than"
    r"|((don['’]?t|do not|never|stop) (want to |need to )?"
    r"(cancel(ling)?|refund(ing)?|return|change|touch|take|use|choose|pick|track|ship|mean|invoice|do)))"
    r"(\s+(the|order|number|no\.?|for|that|my|it|is|ending|in|with|one|#)){0,4}\W{0,3}(?P<number>\d{3,})(?!\d)",
    re.IGNORECASE,
)
NOT_TO = r"(?:别|不要|不用|先不|不)(?:给我|帮我|再)?(?:退|取消|改|查|选|动)(?!货|款|钱|换|行|成|掉|订单|吗|吧|啊|一下)"
PHRASE = re.compile(
    rf"(?<![{ASKS}])(不是|不要|并非|除了|{NOT_TO})"
    r"(?!因为|不|说|的|了)[^，,。；;！!？?]{1,24}?(?=而是|[，,。；;]\s*\S|是(?!的)|$)"
    r"|第[一二三四五六七八九十\d]{1,2}[个单笔]?(?:不[是要退]|不取消)(?!了)|[^，,。；;！!？?]{1,24}?(?:除外|以外|之外)的?"
    r"|\b(not\s+(the|my|that|order|for)|anything but|everything but|all but|except(?: for)?|other than|instead of"
    r"|rather than)\s"
    r"[^,.;!?]{1,30}?"
    r"(?=,|\sbut\s|[.;!]|$)"
    r"|^\W*not\s+[\w-]+(?=\s*,\s*(?:the |a |my )?[\w-]+\W*$)"
    r"|\bnot\s+(?!sure|yet|now|really|only|just)[^,;!?]{1,40}?(?=,\s*(it['’]?s|it is|but|i meant|use|the)\b|\sbut\s)",
    re.IGNORECASE,
)
REFUSES = re.compile(
    r"不|别|除|非|没说|以外|之外|\b(not|no|never|stop|anything|everything|all|except|other|instead|rather)\b|n['’]?t\b",
    re.IGNORECASE,
)
"""Without one of these nothing is refused; most sentences have none."""
CORRECTS = re.compile(
    r"^\s*((不对|不是的?|错了|说错了|搞错了|写错了|打错了|更正(一下)?|抱歉|不好意思|不|no|nope|wrong|sorry|oops|actually|correction)"
    r"\s*(?=[，,。.！!;；:：\s是应我i])[，,。.！!;；:：\s]*)+",
    re.IGNORECASE,
)
INSTEAD = re.compile(
    r"^[，,。.;；:：\s]*(而是|应该是|应当是|应该|其实是|是|改成|改为|换成|要的?是"
    r"|我(说|要|指)的是|but|it['’]?s|it is|it should be|i meant?"
    r"|i wanted|should be|make it|use|to)?[，,:：\s]*",
    re.IGNORECASE,
)
DENIES = (
    rf"((?<=还是)|(?<![{ASKS}]))(别(?!人|的|处)|不要|不用|不想|不必|不需要|甭|勿|先不|暂不|暂时不|不是[要想来]|没[有]?[要想让叫说](你|您|要)?|谁[让叫][你您]|不)"
    r"(再|帮我|给我|替我|把[^，。,]{1,20}|[先去再就]|急着|着急|要|自动|现在|真的|[你您我])*"
)
DENIES_IN_ENGLISH = (
    r"\b(don['’]?t|do not|never|no need|stop|(i )?(didn['’]?t|did not) (want|ask|mean)|won['’]?t|wouldn['’]?t"
    r"|(?<!did )(?<!have )(?<!has )(?<!was )(?<!can )(?<!could )(?<!is )(?<!been )not)\W+"
    r"((please|just|actually|ever|go ahead and|want|need|to|for|you|a|an|any|the|my|asking|i|like|yet) )*"
)
HAN = re.compile("[\u3400-\u9fff]")


def refused(text: str) -> list[tuple[int, int]]:
    """Where the sentence speaks of what is not meant; a question refuses nothing."""
    if REFUSES.search(text) is None:
        return []
    found = [match.span() for match in PHRASE.finditer(text)]
    found += [match.span() for match in NUMBER.finditer(text)]
    return sorted(found) if found and not is_question(text) else []


def meant(text: str) -> str:
    """The sentence without what is not meant."""
    kept, end = "", 0
    for start, stop in refused(text):
        kept += text[end : max(end, start)] + " "
        end = max(end, stop)
    return (kept + text[end:]).strip()


def denies(text: str, words: Iterable[str]) -> bool:
    """Whether the sentence says that something called by one of the words is not wanted: 别取消, `don't refund it`."""
    if is_question(text) and not text.lower().startswith(("don't", "do not", "don’t")):
        return False
    known = tuple(words)
    for word in known:
        named = rf"(?<!{word}不){re.escape(word)}" if HAN.search(word) else rf"{re.escape(word)}\b"
        before = DENIES if HAN.search(word) else DENIES_IN_ENGLISH
        match = re.search(before + named, text, re.IGNORECASE)
        if match is not None and not taken_back(text[match.end() :], known):
            return True
    return False


def taken_back(rest: str, words: tuple[str, ...]) -> bool:
    """Whether what follows a denial takes it back: 不退不行, 不是要退键盘，是要退书包."""
    if re.match(r"\w{0,3}(不行|不可|才怪)", rest):
        return True
    later = re.split(r"[，,。.;；]", rest, maxsplit=1)[1:]
    return any(word in part for part in later for word in words) and not denies(later[0], words)


def restated(text: str) -> str:
    """What a correction has in place of what was said before: 不是上海，是杭州, 不对，是杭州, `no, I meant Hangzhou`.

    Empty where the sentence corrects nothing or does not say what is right.
    """
    left = meant(text)
    lead = CORRECTS.match(left)
    if lead is None and not refused(text):
        return ""
    return INSTEAD.sub("", left[lead.end() if lead else 0 :], count=1).strip(" ，,。.;；")
