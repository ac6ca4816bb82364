"""The state folder: made, checked, held by one `zhiyin up` at a time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli.errors import EnvironmentUnfit
from cli.home import Home, write_atomically


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.prepare()
    return home


def test_folders(home: Home) -> None:
    assert {path.name for path in home.root.iterdir()} == {"tools", "models", "data", "logs", "secrets"}
    for private in (home.data, home.logs, home.secrets):
        assert private.stat().st_mode & 0o777 == 0o700


def test_not_enough_disk(home: Home) -> None:
    with pytest.raises(EnvironmentUnfit, match=r"has \d+ MB free and 10+ MB are needed"):
        home.prepare(free_megabytes=10**12)


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentUnfit, match=r"cannot be written .*ZHIYIN_HOME"):
        Home(tmp_path / "file" / "home").prepare()


def test_one_at_a_time(home: Home) -> None:
    assert not home.is_running()
    with home.lock():
        assert home.is_running()
        with pytest.raises(EnvironmentUnfit, match=rf"already running in .* \(process {os.getpid()}\)"), home.lock():
            pass
    assert not home.is_running()
    with home.lock():
        pass


def test_a_killed_holder_holds_nothing(home: Home) -> None:
    code = (
        "import sys; from pathlib import Path; from cli.home import Home\n"
        "with Home(Path(sys.argv[1])).lock():\n print('held', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(home.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert home.is_running()
        holder.kill()
        holder.wait()
    assert not home.is_running()


def test_run_file(home: Home) -> None:
    home.write_run({"processes": {}})
    assert home.read_run() is None, "nobody runs, so what is left in the file is of no use"
    with home.lock():
        assert home.read_run() == {"processes": {}}
        home.run_file.write_text("[]")
        assert home.read_run() is None
        home.run_file.write_text("{")
        assert home.read_run() is None
    home.forget_run()
    home.forget_run()
    assert not home.run_file.exists()


def test_atomic_write_leaves_the_old_file_when_it_fails(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, "old", mode=0o640)
    assert path.stat().st_mode & 0o777 == 0o640
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "\udc80")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
