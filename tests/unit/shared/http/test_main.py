"""`python -m shared.http`: what it says when it cannot start, and a stop before it has."""

import asyncio
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from shared.http.__main__ import main
from tests.servers import free_port
from tests.unit.shared.http.processes import ended, running


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"port": "many"}, "ZHIYIN_PORT: "),
        ({"static_services": "login"}, "static_services"),
        ({"environment": "production"}, "ZHIYIN_LOGIN_SECRET still has its development value"),
        ({"database_url": "mysql://somewhere/login"}, "ZHIYIN_DATABASE_URL: mysql is neither postgresql nor sqlite"),
        ({"database_url": "s3cret"}, "ZHIYIN_DATABASE_URL is not an address"),
    ],
)
def test_settings_that_cannot_be_used_are_one_sentence(
    tmp_path: Path,
    settings: Mapping[str, str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("signal.signal", lambda *_: None)
    for name, value in {"home": str(tmp_path), **settings}.items():
        monkeypatch.setenv(f"ZHIYIN_{name.upper()}", value)
    with pytest.raises(SystemExit) as ended:
        main(["login"])
    told = capsys.readouterr().err
    assert ended.value.code == 2
    assert told.startswith("The service login cannot start: ")
    assert said in told
    assert told.count("\n") == 1
    assert "s3cret" not in told


async def test_a_process_whose_settings_cannot_be_used_says_nothing_else(tmp_path: Path) -> None:
    async with running("login", tmp_path, port="many") as process:
        end = await ended(process)
    assert (end.code, end.out, end.err.count("\n")) == (2, "", 1)


async def test_an_unknown_service_is_refused(tmp_path: Path) -> None:
    async with running("nobody", tmp_path) as process:
        end = await ended(process)
    assert end.code == 2
    assert "invalid choice: 'nobody'" in end.err


async def test_a_stop_during_the_start_takes_effect_at_once(tmp_path: Path) -> None:
    # Nobody answers there, so the start waits for its database.
    address = f"postgresql://zhiyin@127.0.0.1:{free_port()}/login"
    async with running("login", tmp_path, database_url=address, database_wait_seconds="600") as process:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            while b"database_awaited" not in await process.stdout.readline():
                pass
        process.send_signal(signal.SIGTERM)
        end = await ended(process, seconds=3)
    assert end.code == 128 + signal.SIGTERM
