"""What `make images` asks its builder for, with a builder that only writes it down."""

import os
import shutil
import subprocess
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
USUAL = ["login", "dialogue", "business", "worker", "intent"]

BUILDER = """#!/bin/sh
case $1 in
build | zhiyin-*) echo "$@" >> "$ASKED" ;;
image) echo 236000000 ;;
esac
"""


class Builder:
    """A copy of the scripts, and what they asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._asked = folder / "asked"
        shutil.copytree(
            ROOT / "deploy" / "images", folder / "deploy" / "images", ignore=shutil.ignore_patterns("models")
        )
        shutil.copy(ROOT / "pyproject.toml", folder)
        for name in ("docker", "of-my-own"):
            (folder / name).write_text(BUILDER)
            (folder / name).chmod(0o755)

    def run(self, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": os.environ["PATH"], "ASKED": str(self._asked), "BUILDER": str(self._folder / "docker")}
        return subprocess.run(
            [self._folder / "deploy" / "images" / "build"],
            env=environment | variables,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    @property
    def asked(self) -> list[list[str]]:
        return [line.split() for line in self._asked.read_text().splitlines()] if self._asked.exists() else []

    @property
    def home(self) -> Path:
        return self._folder / "deploy" / "images" / "model" / "models"


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    return Builder(tmp_path)


def after(words: list[str], flag: str) -> list[str]:
    return [value for word, value in pairwise(words) if word == flag]


def test_the_images_of_a_usual_installation(builder: Builder) -> None:
    done = builder.run()
    assert done.returncode == 0, done.stderr
    assert [after(words, "--target") for words in builder.asked] == [[image] for image in USUAL]
    assert [after(words, "-t") for words in builder.asked] == [[f"zhiyin-{image}:{VERSION}"] for image in USUAL]
    assert all(after(words, "-f") == ["deploy/images/Dockerfile"] for words in builder.asked)
    assert all({"MODEL=trained", f"VERSION={VERSION}"} <= set(after(words, "--build-arg")) for words in builder.asked)
    table = done.stdout.splitlines()[-len(USUAL) :]
    assert [line.split() for line in table] == [[f"zhiyin-{image}:{VERSION}", "236", "MB"] for image in USUAL]


def test_all_of_them(builder: Builder) -> None:
    assert builder.run(IMAGES="all").returncode == 0
    assert [after(words, "--target") for words in builder.asked] == [
        [image] for image in (*USUAL, "intent-gpu", "learning", "shop")
    ]


def test_sources_of_packages_and_flags_are_handed_on(builder: Builder) -> None:
    given = {"PYTHON_IMAGE": "registry.example/python:3.12", "PIP_INDEX_URL": "https://packages.example/simple"}
    assert builder.run(IMAGES="login", TAG="next", BUILD_FLAGS="--no-cache --pull", **given).returncode == 0
    [words] = builder.asked
    assert {f"{name}={value}" for name, value in given.items()} <= set(after(words, "--build-arg"))
    assert not any(each.startswith("PIP_FIND_LINKS") for each in after(words, "--build-arg"))
    assert {"--no-cache", "--pull"} <= set(words)
    assert after(words, "-t") == ["zhiyin-login:next"]


def test_a_program_of_ones_own_gets_name_and_folder(builder: Builder, tmp_path: Path) -> None:
    builder.run(IMAGES="worker", BUILDER=str(tmp_path / "of-my-own"))
    [words] = builder.asked
    assert words[:2] == [f"zhiyin-worker:{VERSION}", "."]
    assert after(words, "--target") == ["worker"]


def test_an_image_that_there_is_not(builder: Builder) -> None:
    done = builder.run(IMAGES="login logout")
    assert done.returncode == 2
    assert "There is no image logout" in done.stderr
    assert builder.asked == []


def test_a_ready_model_is_put_where_the_build_takes_it_from(builder: Builder, tmp_path: Path) -> None:
    version = tmp_path / "home" / "models" / "shop" / "v1"
    version.mkdir(parents=True)
    for name in ("manifest.json", "model.onnx", "model.onnx.data", "tokenizer.json", "card.md", "weights.safetensors"):
        (version / name).write_text(name)
    (version.parent / "production").write_text("v1\n")
    done = builder.run(IMAGES="intent", MODEL="ready", ZHIYIN_HOME=str(tmp_path / "home"))
    assert done.returncode == 0, done.stderr
    taken = {path.name for path in (builder.home / "shop" / "v1").iterdir()}
    assert taken >= {"model.onnx", "model.onnx.data", "weights.safetensors"}
    assert "MODEL=ready" in after(builder.asked[0], "--build-arg")
    builder.run(IMAGES="intent")
    assert not builder.home.exists(), "a training that begins with somebody's model is not what was asked for"


def test_without_a_ready_model_nothing_is_built(builder: Builder, tmp_path: Path) -> None:
    done = builder.run(IMAGES="intent", MODEL="ready", ZHIYIN_HOME=str(tmp_path / "nowhere"))
    assert done.returncode != 0
    assert "no model" in done.stderr
    assert builder.asked == []
