from pathlib import Path

import pytest

from examples.shop.settings import read_settings

KEY = {"SHOP_API_KEY": "0123456789abcdef"}


def test_arguments_come_before_the_environment_and_that_before_what_is_usual() -> None:
    usual = read_settings([], KEY)
    assert (usual.host, usual.port, usual.seed, usual.faults) == ("127.0.0.1", 8030, True, False)

    said = read_settings([], {**KEY, "SHOP_PORT": "9000", "SHOP_DATA": "/d", "SHOP_EMPTY": "true", "SHOP_FAULTS": "1"})
    assert (said.port, said.data, said.seed, said.faults) == (9000, Path("/d"), False, True)

    given = read_settings(["--port", "0", "--most-complaints", "3"], {**KEY, "SHOP_PORT": "9000"})
    assert (given.port, given.most_complaints) == (0, 3)


@pytest.mark.parametrize(
    "key", ["", "short", "with a space in it", "密钥密钥密钥密钥密钥密钥密钥密钥", "0123456789\n01234567"]
)
def test_without_a_good_key_nothing_starts(key: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_settings([], {"SHOP_API_KEY": key})
    assert "SHOP_API_KEY" in capsys.readouterr().err
    assert read_settings(["--reset"], {"SHOP_API_KEY": key}).reset


@pytest.mark.parametrize(
    "arguments",
    [
        ["--port", "-1"],
        ["--port", "65536"],
        ["--port", "²"],
        ["--port", "1" * 5000],
        ["--most-complaints", "0"],
        ["--x"],
    ],
)
def test_what_cannot_be_used_is_said(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_settings(arguments, KEY)
    assert arguments[0] in capsys.readouterr().err
