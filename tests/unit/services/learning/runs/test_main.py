"""Trainings as processes: what they say on standard output, in progress and in the end."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from services.learning.runs.__main__ import main
from services.learning.runs.tracking import Tracker, TrackingUnavailable
from tests.unit.services.learning.conftest import SENTENCES, WriteAssistant
from tests.versions import put_empty_store

ADDED = "intent: gift\nutterances:\n  zh:\n{zh}  en:\n{en}"


def said(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """The last thing that is said."""
    assert main(arguments) == 0
    return said(capsys)[-1]


@pytest.fixture(autouse=True)
def no_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ZHIYIN_CACHE", str(tmp_path / "cache"))


@pytest.mark.long
def test_a_first_model_then_the_whole_one_then_what_is_known(
    write_assistant: WriteAssistant, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    put_empty_store(home)
    folder = write_assistant(tmp_path / "mini")
    shared = ("--name", "acme.mini", "--home", str(home))
    first = run(capsys, "train", str(folder), "--soon", *shared)["result"]
    assert first["preliminary"]
    assert Tracker(home).version_at("acme.mini", "production") is None
    assert run(capsys, "point", first["version"], *shared) == {"result": {"version": first["version"]}}
    assert Tracker(home).version_at("acme.mini", "production") == first["version"]

    whole = run(capsys, "train", str(folder), "--forced", *shared)["result"]
    assert not whole["preliminary"]
    assert whole["version"] != first["version"]
    # What is registered and good is found without the registry.
    shutil.move(home / "mlflow.db", tmp_path / "aside")
    known = ("--known", whole["version"], "--known", first["version"])
    assert run(capsys, "train", str(folder), "--soon", *known, *shared)["result"] == whole
    shutil.move(tmp_path / "aside", home / "mlflow.db")

    # A new intent is taught to what is in production, in seconds.
    lists = {
        language: "".join(f"    - '{text.format(number)}'\n" for number in range(8))
        for language, text in {"zh": "礼品卡{}怎么买", "en": "buy a gift card {}"}.items()
    }
    (folder / "nlu" / "gift.yml").write_text(ADDED.format(**lists), encoding="utf-8")
    taught = run(capsys, "train", str(folder), "--soon", *shared)["result"]
    assert taught["preliminary"]
    intents = json.loads((home / "models" / "acme.mini" / taught["version"] / "manifest.json").read_text())["intents"]
    assert set(intents) == {*SENTENCES, "gift"}
    assert Tracker(home).version_at("acme.mini", "production") == first["version"]


def test_data_that_cannot_be_used_is_refused_without_the_folder(
    write_assistant: WriteAssistant, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_assistant(tmp_path / "mini")
    (folder / "nlu" / "refund.yml").write_text("intent: refund\nutterances: nothing\n", encoding="utf-8")
    refused = run(capsys, "train", str(folder), "--soon", "--name", "mini", "--home", str(tmp_path / "home"))
    assert refused["refused"].startswith("nlu/refund.yml:2: ")


def test_a_version_that_nobody_knows_is_not_pointed_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put_empty_store(tmp_path)
    assert "no version v9 of mini" in run(capsys, "point", "v9", "--name", "mini", "--home", str(tmp_path))["refused"]


def test_a_registry_that_is_away_is_a_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise TrackingUnavailable("MLflow at http://mlflow cannot be used")

    monkeypatch.setattr("services.learning.runs.__main__.go_live", away)
    assert main(["point", "v1", "--name", "mini", "--home", str(tmp_path)]) == 1
    assert "MLflow at http://mlflow" in capsys.readouterr().err


def test_it_is_a_program(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "services.learning.runs", "train", str(tmp_path)]
    done = subprocess.run(
        [*command, "--name", "mini", "--home", str(tmp_path / "home")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert "assistant.yml" in json.loads(done.stdout)["refused"]
