from datetime import UTC, datetime, timedelta

import pytest

from shared.zones import zone_of


def test_a_zone_is_found_by_its_name() -> None:
    assert zone_of("UTC") is UTC
    assert datetime(2026, 11, 26, 17, 30, tzinfo=UTC).astimezone(zone_of("Asia/Shanghai")).day == 27
    assert datetime(2026, 7, 1, tzinfo=zone_of("Europe/Paris")).utcoffset() == timedelta(hours=2)


@pytest.mark.parametrize("name", ["", "Beijing", "../etc/passwd", "Asia", "/etc/localtime", "a\0b"])
def test_what_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        zone_of(name)
