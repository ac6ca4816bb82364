"""Days that a text names, as ISO dates relative to a given day.

What one rule leaves alone, because there is no such day, no other may take a part of.

A day without a year is the nearest one: customers speak of last week's parcel and next week's delivery. Weekdays
follow the Chinese week, which starts on Monday. Expressions that name no single day ("last month") are left alone.
"""

import re
from collections.abc import Callable, Iterator
from datetime import date, timedelta

from shared.nlu.entities.numerals import parse_chinese

__all__ = ["find_dates"]

Match = re.Match[str]
Resolve = Callable[[Match, date], date | None]
Rules = tuple[tuple[re.Pattern[str], Resolve], ...]

MONTHS = {
    name: number
    for number, names in enumerate(
        (
            ("jan", "january"), ("feb", "february"), ("mar", "march"), ("apr", "april"), ("may",), ("jun", "june"),
            ("jul", "july"), ("aug", "august"), ("sep", "sept", "september"), ("oct", "october"),
            ("nov", "november"), ("dec", "december"),
        ),
        start=1,
    )
    for name in names
}  # fmt: skip
WEEKDAYS = {
    name: number
    for number, name in enumerate(("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"))
}
CHINESE_WEEKDAYS = {"一": 0, "二": 1, "三": 2, "四": 3, "五": 4, "六": 5, "日": 6, "天": 6}
CHINESE_DAYS = {"大大前": -4, "大大后": 4, "大前": -3, "前": -2, "昨": -1, "今": 0, "明": 1, "后": 2, "大后": 3}
ENGLISH_DAYS = {
    "today": 0, "tonight": 0, "this morning": 0, "this afternoon": 0, "this evening": 0,
    "tomorrow": 1, "yesterday": -1, "last night": -1,
    "day before yesterday": -2, "day after tomorrow": 2,
}  # fmt: skip
ENGLISH_NUMBERS = {
    name: number
    for number, name in enumerate(
        ("a", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"), start=1
    )
} | {"one": 1, "an": 1, "couple of": 2}
MONTHS_A_YEAR = 12
LENGTHS = {"天": 1, "周": 7, "星期": 7, "礼拜": 7, "day": 1, "week": 7}

# Parts of the expressions.
CN = "(?:[0-9]{1,2}|[一二三四五六七八九十廿卅]{1,3})"
CN_YEAR = "20[0-9]{2}|二[〇零○][一二三四五六七八九〇零○]{2}|[0-9]{2}|[一二三][一二三四五六七八九〇零○]"
NAMED_YEAR = {"今": 0, "本": 0, "去": -1, "明": 1, "前": -2, "后": 2}
MONTH_OF_YEAR, DAY_OF_MONTH = "(1[0-2]|0?[1-9])", "(3[01]|[12][0-9]|0?[1-9])"
SAYS_A_DAY = "(?=[下买寄发收付签拍订购][的了到货单出件款给]|[之以][前后]|那天)"
NO_COUNTED = "(?!楼|号|线|店|院|门|房|车|馆|厅|库|口|桌|机|柜|仓|单元|商品|码|弄|室|城|球|级|款|色|尺|订单|会员|客服)"
"""What follows a number that counts houses, lines or shops and no days."""
NO_NUMBER = "(?<![A-Za-z0-9一二三四五六七八九十百廿卅.,/路道街弄巷村区镇第大小型年月每份号日-])(?<![年月份] )"
"""What a day does not follow: the rest of a longer number or date, or of an address."""
NO_MONTH = "(?<![A-Za-z0-9一二三四五六七八九十.,/年每-])(?<!年 )"
NO_RANGE = "(?<![日号月天][到至和跟与、~-])"
NO_MORE = "(?![0-9一二三四五六七八九十])"
NO_MEASURE = (
    "(?![0-9A-Za-z一二三四五六七八九十百千万.,%:/-]| ?[个块元毛件天年月点折次位人条台只双瓶斤多份单套箱盒包袋])"
)
MONTH = "(" + "|".join(sorted(MONTHS, key=len, reverse=True)) + r")\.?"
WEEKDAY = "(" + "|".join(WEEKDAYS) + ")"
COUNT = "([0-9]{1,3}|" + "|".join(sorted(ENGLISH_NUMBERS, key=len, reverse=True)) + ")"
DAY = "([0-9]{1,2})"
YEAR = "(?: ?, ?| )(20[0-9]{2})(?![0-9])"
MONTH_ALONE = "(?: of)? (last|this|next) month"
START, END = "(?<![A-Za-z0-9])", "(?![A-Za-z0-9])"


def find_dates(text: str, today: date) -> Iterator[tuple[int, int, str]]:
    """Start, end and ISO form of each day named in a text whose characters were made plain; they may overlap."""
    for pattern, resolve in _rules(text):
        for match in pattern.finditer(text):
            try:
                day = resolve(match, today)
            except (ValueError, OverflowError):
                # No such day in the calendar, or one beyond it.
                continue
            if day is not None:
                yield match.start(), match.end(), day.isoformat()


def _rules(text: str) -> Rules:
    """Those that can match; most texts name no day, and a look for a word costs a hundredth of an expression."""
    small = text.lower()
    rules = NUMERIC_RULES if any(character.isdigit() for character in text) else ()
    if any(word in small for word in ENGLISH_WORDS):
        rules += ENGLISH_RULES
    return rules if text.isascii() or not CHINESE_WORDS.search(text) else rules + CHINESE_RULES


def _number(text: str) -> int:
    if len(text) > 1 and all(character in "一二三四五六七八九" for character in text):
        raise ValueError("三五 is from three to five")
    value = int(text) if text.isdecimal() else parse_chinese(text)
    if value is None:
        raise ValueError("not a number")
    return value


def _year(text: str) -> int:
    year = int(text) if text.isdecimal() else parse_chinese(text)
    if year is None:
        raise ValueError("not a year")
    return year + 2000 if year < 100 else year


def _nearest(month: int, day: int, today: date) -> date:
    candidates = []
    for year in (today.year - 1, today.year, today.year + 1):
        try:
            candidates.append(date(year, month, day))
        except ValueError:
            # The 29th of February, or a year that the calendar does not have.
            continue
    return min(candidates, key=lambda candidate: abs(candidate - today))


def _full(match: Match, _today: date) -> date:
    return date(int(match[1]), int(match[2]), int(match[3]))


def _either_order(match: Match, _today: date) -> date:
    month, day = int(match[1]), int(match[2])
    if month != day and month <= MONTHS_A_YEAR and day <= MONTHS_A_YEAR:
        raise ValueError("March 11 or November 3")
    return date(int(match[3]), *((month, day) if month <= MONTHS_A_YEAR else (day, month)))


def _chinese_full(match: Match, today: date) -> date:
    years = NAMED_YEAR.get(match[1])
    return date(_year(match[1]) if years is None else today.year + years, _number(match[2]), _number(match[3]))


def _chinese_month_day(match: Match, today: date) -> date:
    return _nearest(_number(match[1]), _number(match[2]), today)


def _chinese_relative_month(match: Match, today: date) -> date:
    return _in_month(match[1].count("下") - match[1].count("上"), _number(match[2]), today)


def _in_month(distance: int, day: int, today: date) -> date:
    months = today.year * 12 + today.month - 1 + distance
    return date(months // 12, months % 12 + 1, day)


def _english_relative_month(match: Match, today: date) -> date:
    return _in_month({"last": -1, "next": 1}.get(match[2].lower(), 0), int(match[1]), today)


def _english_day_of_month(match: Match, today: date) -> date:
    return _nearest_day(int(match[1]), today)


def _chinese_day_of_month(match: Match, today: date) -> date:
    return _nearest_day(_number(match[1]), today)


def _nearest_day(day: int, today: date) -> date:
    candidates = []
    for distance in (-1, 0, 1):
        try:
            candidates.append(_in_month(distance, day, today))
        except ValueError:
            # A month that is shorter than that.
            continue
    return min(candidates, key=lambda candidate: abs(candidate - today))


def _chinese_day(match: Match, today: date) -> date:
    return today + timedelta(days=CHINESE_DAYS[match[1]])


def _chinese_weekday(match: Match, today: date) -> date:
    given = match[1] or ""
    weeks = given.count("下") - given.count("上")
    day = int(match[2]) - 1 if match[2].isdecimal() else CHINESE_WEEKDAYS[match[2]]
    return _monday(today) + timedelta(weeks=weeks, days=day)


def _chinese_distance(match: Match, today: date) -> date:
    days = _number(match[1].replace("两", "二")) * LENGTHS[match[2]]
    return today + timedelta(days=-days if match[3].endswith("前") else days)


def _english_day(match: Match, today: date) -> date:
    return today + timedelta(days=ENGLISH_DAYS[" ".join(match[1].lower().split())])


def _english_weekday(match: Match, today: date) -> date:
    which, day = (match[1] or "").lower(), WEEKDAYS[match[2].lower()]
    if which == "last":
        return today - timedelta(days=(today.weekday() - day - 1) % 7 + 1)
    if which == "next":
        return today + timedelta(days=(day - today.weekday() - 1) % 7 + 1)
    return _monday(today) + timedelta(days=day)


def _english_weekday_of_week(match: Match, today: date) -> date:
    weeks = {"last": -1, "next": 1}.get((match[1] or match[4]).lower(), 0)
    return _monday(today) + timedelta(weeks=weeks, days=WEEKDAYS[(match[2] or match[3]).lower()])


def _month_first(match: Match, today: date) -> date | None:
    return _english_month_day(match[1], match[2], match[3], match[4], today)


def _day_first(match: Match, today: date) -> date | None:
    return _english_month_day(match[3], match[1], match[2], match[4], today)


def _english_month_day(name: str, day: str, ordinal: str | None, year: str | None, today: date) -> date | None:
    if name == "may" and not ordinal and not year:
        # "may 3" in small letters is as likely the verb.
        return None
    month = MONTHS[name.lower()]
    return date(int(year), month, int(day)) if year else _nearest(month, int(day), today)


def _english_distance(match: Match, today: date) -> date:
    sign = -1 if match[4] and match[4].strip().lower() == "ago" else 1
    given = " ".join(match[2].lower().split())
    count = int(given) if given.isdecimal() else ENGLISH_NUMBERS[given]
    if bool(match[1]) == bool(match[4]):
        # "in two days" and "two days ago" name a day; "two days" alone is a length.
        raise ValueError("a length, not a day")
    return today + timedelta(days=sign * count * LENGTHS[match[3].lower()])


def _monday(today: date) -> date:
    return today - timedelta(days=today.weekday())


def _rule(pattern: str, resolve: Resolve) -> tuple[re.Pattern[str], Resolve]:
    return re.compile(pattern, re.IGNORECASE), resolve


NUMERIC_RULES: Rules = (
    _rule(r"(?<![0-9.-])(20[0-9]{2}) ?[-/.] ?([0-9]{1,2}) ?[-/.] ?([0-9]{1,2})(?![0-9-]|\.[0-9])", _full),
    _rule(r"(?<![0-9./-])([0-9]{1,2})[/.-]([0-9]{1,2})[/.-](20[0-9]{2})(?![0-9/-]|\.[0-9])", _either_order),
)
CHINESE_RULES: Rules = (
    _rule(
        f"(?<![0-9一二三四五六七八九〇零])({CN_YEAR}|[今去明前后本]) ?年的? ?({CN}) ?月(?:份)?的? ?({CN}) ?[日号]?"
        f"{NO_MORE}",
        _chinese_full,
    ),
    _rule(f"{NO_MONTH}({CN}) ?月(?:份)?的? ?({CN}) ?[日号]{NO_COUNTED}", _chinese_month_day),
    _rule(f"{NO_MONTH}({CN}) ?月({CN}){NO_MEASURE}", _chinese_month_day),
    # Figures without a word for day are one only where Chinese follows that says so, or 于, 在 come before.
    _rule(
        f"(?<![0-9A-Za-z./:-]){MONTH_OF_YEAR}[/.]{DAY_OF_MONTH} ?(?:[日号]|{SAYS_A_DAY})",
        _chinese_month_day,
    ),
    # With a hyphen only in full: 3-5 and 11-12号 are from one to the other.
    _rule(
        rf"(?<![0-9A-Za-z./:-])(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01]) ?{SAYS_A_DAY}",
        _chinese_month_day,
    ),
    _rule(f"(?<=[于从自]){MONTH_OF_YEAR}[-/]{DAY_OF_MONTH}(?![0-9/.-])", _chinese_month_day),
    _rule(f"(上{{1,2}}|[这本]|下{{1,2}})个?月(?:份)?的? ?({CN}) ?[日号]{NO_COUNTED}", _chinese_relative_month),
    _rule(f"{NO_NUMBER}{NO_RANGE}({CN}) ?号{NO_COUNTED}", _chinese_day_of_month),
    _rule("(昨|今|明)(?:天|儿(?![子童科媳女]))", _chinese_day),
    _rule("(?<![以之大目今往午雨饭此])(大{0,2}[前后])(?:天(?!气)|儿(?![子童科媳女]))", _chinese_day),
    _rule("(?<![发说声证表文透])(昨|今|明)[日晚早夜]", _chinese_day),
    _rule("(?<![目之以大])(前|后)日", _chinese_day),
    _rule(
        "(?<![一二两三四五六七八九十几0-9每上下双单])(上{1,3}|下{1,3}|这|本)?个?(?:周|星期|礼拜)"
        "([一二三四五六日天]|[1-6](?![0-9次天个点号日月年.,:]))(?![次周])",
        _chinese_weekday,
    ),
    _rule(
        "(?<![0-9一二两三四五六七八九十几.,百])([0-9]{1,3}|两|[一二三四五六七八九十]{1,3})"
        " ?个?(天|周|星期|礼拜)(之前|以前|前|之后|以后|后)",
        _chinese_distance,
    ),
)
ENGLISH_RULES: Rules = (
    _rule(
        f"{START}(?:the )?(day before yesterday|day after tomorrow|yesterday|today|tonight|tomorrow|last night|"
        f"this morning|this afternoon|this evening){END}",
        _english_day,
    ),
    _rule(f"{START}(?:(last|this|next) )?{WEEKDAY}{END}", _english_weekday),
    _rule(
        f"{START}(?:(last|this|next) week(?: on|'s)? {WEEKDAY}|{WEEKDAY}(?: of)? (last|this|next) week){END}",
        _english_weekday_of_week,
    ),
    _rule(f"{START}{MONTH} ?(?:the )?{DAY}(st|nd|rd|th)?{END}(?:{YEAR})?", _month_first),
    _rule(f"{START}{DAY}(st|nd|rd|th)?(?: of)? {MONTH}{END}(?:{YEAR})?", _day_first),
    _rule(f"{START}(?:the )?{DAY}(?:st|nd|rd|th){MONTH_ALONE}{END}", _english_relative_month),
    _rule(
        f"{START}(?:on|by|before|after|since|until|till|from) the {DAY}(?:st|nd|rd|th){END}"
        r"(?! +(?!and |or |but |please|i |it |you |we |at |in )[a-z])",
        _english_day_of_month,
    ),
    _rule(f"{START}(in )?{COUNT} (day|week)s?( ago| later| from now)?{END}", _english_distance),
)
ENGLISH_WORDS = (
    "day",
    "tonight",
    "tomorrow",
    "night",
    "this ",
    "week",
    "month",
    " the ",
    *sorted({name[:3] for name in MONTHS}),
)
"""Each English rule matches only where one of these is."""
CHINESE_WORDS = re.compile("[年月号天日晚早夜周期拜儿]|[0-9][-/.][0-9]")
"""Each Chinese rule matches only where one of these is."""
