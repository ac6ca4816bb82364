from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.nlu.entities.dates import find_dates

SUNDAY = date(2026, 11, 22)
WEDNESDAY = date(2026, 11, 25)


def read(text: str, today: date = SUNDAY) -> list[str]:
    """The values of the longest date at each place."""
    found = sorted(find_dates(text, today), key=lambda each: each[0] - each[1])
    return [found[0][2]] if found else []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("今天", "2026-11-22"),
        ("今日", "2026-11-22"),
        ("明天到", "2026-11-23"),
        ("昨晚买的", "2026-11-21"),
        ("后天", "2026-11-24"),
        ("大后天", "2026-11-25"),
        ("前天", "2026-11-20"),
        ("大前天", "2026-11-19"),
        ("11月3日", "2026-11-03"),
        ("11 月 3 号", "2026-11-03"),
        ("十一月三号", "2026-11-03"),
        ("2026年11月3日", "2026-11-03"),
        ("二〇二六年十一月三日", "2026-11-03"),
        ("去年11月3日", "2025-11-03"),
        ("今年1月3日", "2026-01-03"),
        ("明年一月三日", "2027-01-03"),
        ("1月3日", "2027-01-03"),
        ("上个月3号", "2026-10-03"),
        ("下月3号", "2026-12-03"),
        ("这个月3号", "2026-11-03"),
        ("25号之前", "2026-11-25"),
        ("三天前", "2026-11-19"),
        ("3天后", "2026-11-25"),
        ("两周后", "2026-12-06"),
        ("一个星期之前", "2026-11-15"),
        ("2026-11-03", "2026-11-03"),
        ("2026/11/3", "2026-11-03"),
        ("2026.11.3", "2026-11-03"),
        ("today", "2026-11-22"),
        ("Tonight", "2026-11-22"),
        ("tomorrow", "2026-11-23"),
        ("YESTERDAY", "2026-11-21"),
        ("the day before yesterday", "2026-11-20"),
        ("day after tomorrow", "2026-11-24"),
        ("Nov 3rd", "2026-11-03"),
        ("Nov. 3", "2026-11-03"),
        ("november 3, 2025", "2025-11-03"),
        ("3 November 2026", "2026-11-03"),
        ("3rd of Nov", "2026-11-03"),
        ("May 3", "2027-05-03"),
        ("may 3rd", "2027-05-03"),
        ("two days ago", "2026-11-20"),
        ("in 3 days", "2026-11-25"),
        ("a week ago", "2026-11-15"),
        ("three weeks from now", "2026-12-13"),
        ("a couple of days later", "2026-11-24"),
    ],
)
def test_names_the_day(text: str, value: str) -> None:
    assert read(text) == [value]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("周三", "2026-11-25"),
        ("周一", "2026-11-23"),
        ("上周一", "2026-11-16"),
        ("下周三", "2026-12-02"),
        ("下下周二", "2026-12-08"),
        ("上上个星期五", "2026-11-13"),
        ("星期天", "2026-11-29"),
        ("last Monday", "2026-11-23"),
        ("last Wednesday", "2026-11-18"),
        ("next Wednesday", "2026-12-02"),
        ("next friday", "2026-11-27"),
        ("this Sunday", "2026-11-29"),
        ("Monday", "2026-11-23"),
    ],
)
def test_weeks_start_on_monday(text: str, value: str) -> None:
    assert read(text, WEDNESDAY) == [value]


@pytest.mark.parametrize(
    "text",
    [
        "以后天气",
        "之前天气",
        "每周一",
        "一周六次",
        "7天内",
        "三天",
        "3 days",
        "may 3 of you",
        "3号楼",
        "10号线",
        "世纪大道100号",
        "建国路1号",
        "2月30日",
        "13月1日",
        "十十月一日",
        "2026-13-01",
        "1.2026-11-03",
        "last month",
        "发明日",
        "20261103001号",
        "in 2 days ago",
    ],
)
def test_leaves_alone_what_is_no_day(text: str) -> None:
    assert read(text) == []


def test_a_leap_day_is_found_in_the_year_that_has_one() -> None:
    assert read("2月29日", date(2027, 6, 1)) == ["2028-02-29"]


def test_a_day_of_the_month_skips_months_that_are_too_short() -> None:
    assert read("31号", date(2026, 11, 10)) == ["2026-10-31"]


@given(
    st.text(alphabet="0123456789年月日号天周前后上下大今明昨一二三十零〇 -/.,abcdefinoty", max_size=60),
    st.dates(),
)
def test_any_text_on_any_day_gives_real_days_within_the_text(text: str, today: date) -> None:
    for start, end, value in find_dates(text, today):
        assert 0 <= start < end <= len(text)
        date.fromisoformat(value)


@given(st.dates(date(2000, 1, 1), date(2099, 12, 31)))
def test_every_day_is_read_back_from_its_full_forms(day: date) -> None:
    for text in (day.isoformat(), f"{day.year}年{day.month}月{day.day}日", f"{day:%B} {day.day}, {day.year}"):
        assert read(text) == [day.isoformat()]


@given(st.dates(date(2000, 1, 1), date(2099, 12, 31)), st.integers(-100, 100))
def test_a_day_without_a_year_is_the_nearest(today: date, distance: int) -> None:
    day = today + timedelta(days=distance)
    assert read(f"{day.month}月{day.day}日", today) == [day.isoformat()]
