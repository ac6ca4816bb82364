"""Amounts of money, in figures or Chinese numerals, as a decimal with its currency: `299.00 CNY`.

A number is read as a whole or not at all: a part of a longer number, one end of a range, a count or a negative number
is no amount that somebody wants to have moved.
"""

import re
from collections.abc import Iterator
from decimal import Decimal

from shared.nlu.entities.numerals import CHINESE_NUMERAL, parse_number

__all__ = ["find_amounts"]

CURRENCIES = {
    "CNY": "¥ rmb cny 人民币 元 圆 块 yuan kuai",
    "USD": "$ us$ usd dollar dollars buck bucks 美元 美金",
    "EUR": "€ eur euro euros 欧元",
    "GBP": "£ gbp pound pounds quid 英镑",
    "HKD": "hk$ hkd 港币 港元",
    "TWD": "nt$ twd 新台币 台币",
    "JPY": "jpy yen 日元 日币 円",
    "KRW": "₩ krw 韩元 韩币",
    "AUD": "a$ aud 澳元 澳币",
    "CAD": "c$ cad 加元 加币",
    "SGD": "s$ sgd 新加坡元 新币",
}
CODES = {sign: code for code, signs in CURRENCIES.items() for sign in signs.split()}

# Parts of the expressions.
DIGIT = "[一二三四五六七八九壹贰叁肆伍陆柒捌玖]"
COIN = f"(?:[0-9]|{DIGIT}|两)"
SIGNS = "|".join(re.escape(sign) for sign in sorted(CODES, key=len, reverse=True) if not sign.isalpha())
LETTERS = "|".join(sign for sign in sorted(CODES, key=len, reverse=True) if sign.isascii() and sign.isalpha())
HAN = "|".join(sign for sign in sorted(CODES, key=len, reverse=True) if sign.isalpha() and not sign.isascii())
NAMED = "rmb|cny|usd|eur|gbp|hkd|twd|jpy|krw|aud|cad|sgd"

NUMBER = re.compile(
    rf"(?:[0-9]|{CHINESE_NUMERAL})"
    rf"(?:[0-9]|{CHINESE_NUMERAL}|[.,](?=[0-9])|点(?={CHINESE_NUMERAL})|[kw](?![a-z])| (?=[万千百]))*",
    re.IGNORECASE,
)
"""A whole number, also one that cannot be read: so that no part of it is taken for the amount."""
BEFORE = re.compile(
    rf"(?:(?<![a-z])(?:{NAMED}|us\$|hk\$|nt\$|[acs]\$)|(?<![a-z])(?:{SIGNS})|人民币|美元|美金|港币|欧元) ?\Z",
    re.IGNORECASE,
)
AFTER = re.compile(
    rf" ?({LETTERS})(?![a-z])| ?({SIGNS})(?![0-9a-z])| ?({HAN})(?!旦|素|件|宝|老|首|帅|年|月|桥|里|勋|朝)",
    re.IGNORECASE,
)
PIECES = re.compile(
    "表|手表|香皂|肥皂|电|蛋糕|玻璃|肉|布|毛巾|毛毯|饼|屏|地|石|巧克力|木|砖|豆腐|巾|板|硬盘|内存|显卡|移动|积木|糖"
)
"""What comes in pieces, for which the word is the same as for the coin."""
NO_COIN = "(?![0-9.,a-z%个件台只双条瓶月号日天年点折成次位分毛角十百千万亿多])"
"""What keeps the digit after 块 from being tenths of it: it belongs to something else."""
COINS = re.compile(
    rf"(?P<half>半)|零?(?P<tenths>{COIN})[毛角](?:零?(?P<hundredths>{COIN})(?:分|{NO_COIN}))?钱?"
    rf"|零?(?P<cents>{COIN})分钱?|(?P<bare>{COIN}){NO_COIN}",
    re.IGNORECASE,
)
MORE_COINS = re.compile(f"[零0-9一二三四五六七八九两]?{COIN}[毛角分]|{COIN}+")
MANY_COINS = re.compile(f"零?(?:[0-9]|{CHINESE_NUMERAL})+[毛角分]")
COIN_ALONE = re.compile(rf"(?<![0-9.,a-z元块圆几数]){COIN}[毛角分]", re.IGNORECASE)
TENTHS = re.compile(rf"({COIN})[毛角](?:零?({COIN})分?)?(?=钱|[^0-9巾笔毯绒衣裤形债梨落度色楼铁]|\Z)钱?|({COIN})分钱")
HALF = re.compile(r"(?<![一二三四五六七八九十百千0-9几大小])半块(?=钱|\W|\Z)钱?")

NO_PART_BEFORE = re.compile(
    rf"(?:[0-9万千百十元块]|{CHINESE_NUMERAL}|{SIGNS}) ?(?:-+|~+|[到至、×*/+:^]|x) ?(?:{SIGNS})?\Z"
    r"|-(?:rmb|cny|usd)? ?(?:"
    + SIGNS
    + r")?\Z|[几数好第]\Z|(?:^|[ 0-9])\.\Z|[a-z0-9]\Z|(?:^|[^a-z])(?:no|nr)\. ?\Z|负\Z",
    re.IGNORECASE,
)
"""The other end of a range, a factor, a sign of minus, a rough number, a rank."""
GROUP_BEFORE = re.compile(r"(?:^|[^0-9./:-])[1-9][0-9]{0,2} \Z")
GROUP = re.compile("[0-9]{3}(?![0-9])")
"""Thousands with a blank between, which might as well be two numbers."""
RANGE_AFTER = re.compile(
    rf" ?(?:-+|~+|[到至×*]) ?(?:{SIGNS}|rmb|cny|usd)? ?(?:[0-9]{{1,9}}(?![0-9])|{CHINESE_NUMERAL})", re.IGNORECASE
)
ROUGH_AFTER = re.compile("[多几来]")
WORDS = {
    word: value
    for words, values in (
        ("a one two three four five six seven eight nine ten", (1, *range(1, 11))),
        ("eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen", range(11, 20)),
        ("twenty thirty forty fifty sixty seventy eighty ninety hundred thousand", (*range(20, 100, 10), 100, 1000)),
    )
    for word, value in zip(words.split(), values, strict=True)
}
WORD = "(?:" + "|".join(sorted(WORDS, key=len, reverse=True)) + ")"
IN_WORDS = re.compile(
    rf"(?<![a-z-])(?<! or )(?<! to )({WORD}(?:(?:[ -]| and ){WORD}){{0,9}}) ({LETTERS})(?![a-z])", re.IGNORECASE
)
MONEY_WORDS = ("dollar", "buck", "yuan", "kuai", "euro", "pound", "quid", "rmb", "usd", "yen")
SURNAMES = "李张王赵刘陈杨黄周吴徐孙马朱胡林郭何高罗郑梁谢宋唐许邓冯韩曹曾彭"
"""张三, 李四 and 王五 are people."""
MIN_BARE_CHINESE = 10
"""`一块` is also "together" and `两块` two pieces: below this, a Chinese numeral before 块 is no amount by itself."""
MONEY_VERB = re.compile("(?:[退付花赔收扣补给][我你您他她了过掉款钱]{0,2}|退款|金额是?)\\Z")
SHORT_FORM = re.compile(f"[一二三四五六七八九两][百千万]{DIGIT}\\Z")
AFTER_SHORT_FORM = re.compile(r"\W|[吧吗呢啊了的行可就呀]|\Z")
CENTS = re.compile(r",?(?: and)? ([0-9]{1,2}) (?:cents?|pence)(?![a-z])", re.IGNORECASE)
LONG = re.compile("[0-9]{10}")
"""More digits in a row than an amount has: the number of an order, or of a phone."""
EUROPEAN = re.compile(r"[0-9]{1,3}(?:\.[0-9]{3})+,[0-9]{2}|[0-9]{1,6},[0-9]{2}")
MOST_DECIMALS = re.compile(r"[^.点]*(?:[.点][^.点]{1,2})?\Z|.*[万千百亿kw]\Z", re.IGNORECASE)


def find_amounts(text: str) -> Iterator[tuple[int, int, str]]:
    """Start, end and normal form of each amount in a normalised text; they may overlap."""
    for match in NUMBER.finditer(text):
        if (found := _amount(text, match)) is not None:
            yield found
    yield from _coins_alone(text)
    small = text.lower()
    for match in IN_WORDS.finditer(text) if any(word in small for word in MONEY_WORDS) else ():
        value = _in_words(match[1])
        if value is not None:
            yield *match.span(), f"{value:.2f} {CODES[match[2].lower()]}"


def _in_words(words: str) -> int | None:
    """The value of `two hundred and fifty`; None when the words do not follow each other like that."""
    total = section = last = 0
    if words.lower() == "a":
        return None
    for word in words.lower().replace("-", " ").split():
        value = WORDS.get(word, 0)
        if word == "and":
            continue
        if word == "hundred" and 0 < section < 10:
            section *= 100
        elif word == "thousand" and section and not total:
            total, section = section * 1000, 0
        elif value and value < (100 if not section or section % 100 == 0 else 10 if last >= 20 else 0):
            section += value
        else:
            return None
        last = value
    return total + section or None


def _amount(text: str, number: re.Match[str]) -> tuple[int, int, str] | None:
    start, end = number.span()
    head = text[max(0, start - 16) : start]
    before, after = BEFORE.search(head), AFTER.match(text, end)
    first = start if before is None else start - len(head) + before.start()
    if NO_PART_BEFORE.search(head[: len(head) - (start - first)]) or NO_PART_BEFORE.search(
        head if before is None else ""
    ):
        return None
    if GROUP_BEFORE.search(head) and GROUP.match(number[0]):
        return None
    if before is None and after is None:
        short = SHORT_FORM.fullmatch(number[0]) and MONEY_VERB.search(head) and AFTER_SHORT_FORM.match(text, end)
        value = parse_number(number[0]) if short else None
        return None if value is None else (start, end, f"{value:.2f} CNY")
    word = "" if after is None else next(filter(None, after.groups())).lower()
    code = CODES[word] if before is None else CODES[before[0].strip().lower()]
    value = _value(number[0], code)
    if value is None or RANGE_AFTER.match(text, end) or (after is None and ROUGH_AFTER.match(text, end)):
        return None
    if after is not None:
        end = after.end()
        if RANGE_AFTER.match(text, end) or _is_name(number[0], word, head):
            return None
        if word == "块" and PIECES.match(text, end):
            return None
        if word in ("块", "元", "圆"):
            coins, end, counted = _coins(text, end)
            if coins is None or (word == "块" and not counted and _is_count(number[0], value)):
                return None
            value += coins
    if cents := CENTS.match(text, end):
        value, end = value + Decimal(cents[1]) / 100, cents.end()
    return first, end, f"{value:.2f} {code}"


def _value(number: str, code: str) -> Decimal | None:
    if LONG.search(number):
        return None
    if EUROPEAN.fullmatch(number) and code != "CNY":
        return Decimal(number.replace(".", "").replace(",", "."))
    return parse_number(number) if MOST_DECIMALS.match(number) else None


def _coins(text: str, end: int) -> tuple[Decimal | None, int, bool]:
    """What follows 块: how much it adds, where it ends, and whether it says that 块 was money; None if unreadable."""
    match = COINS.match(text, end)
    if match is None and MANY_COINS.match(text, end):
        return None, end, False
    if match is None:
        more = text[end : end + 1] == "钱"
        return Decimal(0), end + more, more
    if MORE_COINS.match(text, match.end()):
        return None, end, False
    parts = ((match["tenths"] or match["bare"], 10), (match["hundredths"] or match["cents"], 100))
    value = (
        Decimal("0.5") if match["half"] else sum((_coin(digit) / unit for digit, unit in parts if digit), Decimal(0))
    )
    return value, match.end(), True


def _coins_alone(text: str) -> Iterator[tuple[int, int, str]]:
    if "毛" in text or "角" in text or "分" in text:
        for start in COIN_ALONE.finditer(text):
            match = TENTHS.match(text, start.start())
            if match is not None:
                value = sum(
                    (_coin(d) / u for d, u in zip(match.groups(), (10, 100, 100), strict=True) if d), Decimal(0)
                )
                yield *match.span(), f"{value:.2f} CNY"
    if "半块" in text:
        for match in HALF.finditer(text):
            yield *match.span(), "0.50 CNY"


def _coin(digit: str) -> Decimal:
    return parse_number(digit) or Decimal(0)


def _is_count(number: str, value: Decimal) -> bool:
    return not number[0].isascii() and value < MIN_BARE_CHINESE


def _is_name(number: str, word: str, head: str) -> bool:
    single = len(number) == 1 and not number.isascii()
    return single and (word in ("人民币", "rmb", "cny") or head.endswith(tuple(SURNAMES)))
