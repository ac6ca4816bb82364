"""The Dockerfile by its text, and what is in each image by importing the service with nothing else at hand."""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from cli.settings import CommandSettings
from deploy.images import bake, requirements
from shared.http.__main__ import SERVICES as KNOWN
from tests.unit.deploy.dockerfile import Dockerfile

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deploy" / "images"
FILE = Dockerfile.read(FOLDER / "Dockerfile")
SERVICES = tuple(name for name in KNOWN if name != "learning")
"""What has an image that starts it; that of learning trains, and its service runs on one machine so far."""
IMAGES = (*SERVICES, "intent-gpu", "learning", "shop")

ENTRY = {
    "login": ("services.login.app",),
    "dialogue": ("services.dialogue.app",),
    "business": ("services.business.app",),
    "worker": ("services.business.worker.service", "services.business.worker.consumer"),
    "intent": (
        "services.intent.app",
        "shared.nlu.engines.openvino_engine",
        "shared.nlu.engines.onnxruntime_engine",
    ),
    "intent-gpu": ("services.intent.app", "shared.nlu.engines.torch_engine", "transformers", "safetensors.torch"),
    "learning": (
        "cli.main",
        "cli.training",
        "services.learning.training.pipeline",
        "services.learning.evaluation.report",
        "onnxruntime",
    ),
    "shop": ("examples.shop.__main__", "httptools", "uvloop"),
}
PROGRAMS = {"learning": ["cli.main"], "shop": ["examples.shop"]}
"""What an image starts; of a service `shared.http` with its name."""
BOTH = ("model.onnx", "weights.safetensors")
# Their imports take long; that a build trains, which needs the same packages, is looked at always.
WITH_TORCH = {"intent-gpu", "learning"}
WITH_TABLES = {"login", "dialogue", "business"}

IMPORT = """
import importlib, json, sys
modules, refused = json.loads(sys.argv[1]), json.loads(sys.argv[2])
sys.modules.update(dict.fromkeys(refused))
for name in modules:
    importlib.import_module(name)
own = [
    name
    # A thread that an import has begun may import meanwhile.
    for name, module in list(sys.modules.items())
    if name.split(".")[0] in ("shared", "services", "cli", "examples") and module
]
print(json.dumps([module.__file__ for module in map(sys.modules.get, own) if module.__file__]))
"""


def environment_of(image: str) -> str:
    """The stage that an image's packages come from."""
    [name] = (
        copy.source
        for stage in FILE.ancestry(image)
        for copy in stage.copies()
        if copy.source and copy.source.endswith("-environment")
    )
    return name


def extras_of(image: str) -> set[str]:
    """The extras of pyproject.toml that an image installs, `base` among them."""
    return {
        extra
        for stage in FILE.ancestry(environment_of(image))
        for rest in stage.all("RUN")
        for names in re.findall(r"install-requirements((?: [a-z-]+)+)", rest)
        for extra in names.split()
    }


def gathered(image: str) -> list[str]:
    """The project's files and folders that an image holds."""
    [tree] = (
        path.removeprefix("/images/")
        for stage in FILE.ancestry(image)
        for copy in stage.copies()
        if copy.source == "source"
        for path in copy.paths
    )
    [run] = FILE.stages["source"].all("RUN")
    if alone := re.findall(rf"cp -a --parents ([^$&]+?) /images/{tree}\b", run):
        return str(alone[0]).split()
    [common] = re.findall(r"cp -a --parents (.+?) \"\$@\"", run)
    [own] = re.findall(rf"gather {tree} ([^&]+?)(?:\s*&&|$)", run)
    return [*common.split(), *own.split()]


def installed(lists: Path, extras: set[str], python: str = "") -> set[str]:
    """The packages of these requirements with all that they require (of another Python), by canonical name."""
    found: set[tuple[str, str]] = set()
    other = {"python_full_version": python} if python else {}

    def add(requirement: Requirement) -> None:
        name = canonicalize_name(requirement.name)
        for extra in {"", *requirement.extras}:
            if (name, extra) in found:
                continue
            found.add((name, extra))
            for each in required(name):
                if each.marker is None or each.marker.evaluate({"extra": extra, **other}):
                    add(each)

    for extra in extras:
        for line in (lists / f"{extra}.txt").read_text(encoding="utf-8").splitlines():
            add(Requirement(line))
    return {name for name, _ in found}


@cache
def required(name: str) -> list[Requirement]:
    """What a package requires, under whatever conditions."""
    try:
        return [Requirement(each) for each in distribution(name).requires or []]
    except PackageNotFoundError:
        return []


@cache
def packages() -> dict[str, set[str]]:
    """The packages that each importable name comes from."""
    return {top: set(map(canonicalize_name, names)) for top, names in packages_distributions().items()}


def loaded(modules: tuple[str, ...], refused: list[str]) -> set[Path]:
    """The project's files that importing these modules loads where some names cannot be imported."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORT, json.dumps(modules), json.dumps(refused)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {Path(file).relative_to(ROOT) for file in json.loads(done.stdout)}


@pytest.fixture(scope="module")
def lists(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("requirements")
    requirements.main(ROOT / "pyproject.toml", folder)
    return folder


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_a_service_that_runs_as_nobody_in_particular(image: str) -> None:
    stages = list(FILE.ancestry(image))
    assert next(user for stage in stages for user in reversed(stage.all("USER"))) == "10001:10001"
    assert stages[-1].base == "scratch"
    assert "8080 9090" in [ports for stage in stages for ports in stage.all("EXPOSE")]
    [entry] = stages[0].all("ENTRYPOINT")
    service = image.removesuffix("-gpu")
    assert json.loads(entry) == ["python", "-m", *PROGRAMS.get(service, ["shared.http", service])]
    labels = " ".join(stages[0].all("LABEL"))
    assert f'org.opencontainers.image.title="zhiyin-{image}"' in labels
    assert {"ARG VERSION", "ARG REVISION"} <= {f"ARG {rest.partition('=')[0]}" for rest in stages[0].all("ARG")}


def test_the_version_in_the_file_is_that_of_the_project() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    versions = {rest for stage in FILE.stages.values() for rest in stage.all("ARG") if rest.startswith("VERSION=")}
    assert versions == {f"VERSION={version}"}


def test_the_base_can_be_replaced_and_is_no_moving_one() -> None:
    outside = {stage.base for stage in FILE.stages.values()} - set(FILE.stages) - {"scratch"}
    assert outside == {"${PYTHON_IMAGE}"}
    image, _, tag = FILE.arguments["PYTHON_IMAGE"].rpartition(":")
    assert image
    assert tag not in ("", "latest")


def test_every_builder_can_build_it() -> None:
    text = (FOLDER / "Dockerfile").read_text(encoding="utf-8")
    assert "<<" not in text, "here-documents are BuildKit's"
    seen: set[str] = set()
    for stage in FILE.stages.values():
        assert not any(rest.startswith("--") for rest in stage.all("RUN")), "flags of RUN are BuildKit's"
        for copy in stage.copies():
            assert all(flag.startswith("--from=") for flag in copy.flags), f"{copy.flags} are BuildKit's"
            assert copy.source is None or copy.source in seen, f"{stage.name} copies from a stage that comes later"
        seen.add(stage.name)


@pytest.mark.parametrize("page", ["images.md", "run-on-one-machine.md"])
def test_wheels_that_are_carried_fit_every_patch_version_of_the_base(page: str, lists: Path) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    [command] = re.findall(r"pip download (?:.*\\\n)*.*", text)
    [names] = re.findall(r"\.\[([a-z,-]+)\]", command)
    pinned = {
        canonicalize_name(line.partition("==")[0])
        for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    }
    assert "-c requirements.lock" in command
    minor = re.findall(r"python:(3\.\d+)-", FILE.arguments["PYTHON_IMAGE"])[0]
    assert f"Python {minor}" in text or f"Python ({minor}" in text
    carried = {"base", *names.split(",")}
    wanted = set().union(*(extras_of(image) for image in IMAGES if not image.endswith("-gpu"))) - {"cli"}
    assert wanted <= carried
    # The one that calls pip may be the first or the last of them.
    for caller, target in ((f"{minor}.0", f"{minor}.30"), (f"{minor}.30", f"{minor}.0")):
        there = installed(lists, carried, caller) | {
            word for word in command.split() if canonicalize_name(word) in pinned
        }
        assert installed(lists, wanted, target) <= there, f"{target} needs more than {caller} fetches"


def test_the_wheels_are_served_where_nothing_else_listens() -> None:
    text = (ROOT / "docs" / "images.md").read_text(encoding="utf-8")
    [port] = re.findall(r"http\.server .* (\d+) &", text)
    taken = {value for name, value in CommandSettings().model_dump().items() if name.endswith("port")}
    assert len(taken) > 5
    assert int(port) not in taken
    assert set(re.findall(r"127\.0\.0\.1:(\d+)", text)) == {port}


def from_context() -> Iterator[str]:
    for stage in FILE.stages.values():
        for copy in stage.copies():
            if copy.source is None:
                yield from copy.paths


def test_what_is_copied_is_there_and_reaches_the_builder() -> None:
    rules = [
        line
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    assert rules[0] == "*", "what is not named stays away"
    sent = [Path(rule.removeprefix("!")) for rule in rules if rule.startswith("!")]
    assert not {Path(name) for name in (".git", ".venv", ".zhiyin", "tests", "docs")} & set(sent)
    for path in set(from_context()):
        assert (ROOT / path).exists(), path
        assert any(Path(path).is_relative_to(folder) for folder in sent), f".dockerignore keeps {path} away"


def test_the_shops_image_holds_nothing_of_ours() -> None:
    assert gathered("shop") == ["LICENSE", "examples"]
    assert extras_of("shop") == {"base"}


@pytest.mark.parametrize(
    "image", [pytest.param(image, marks=pytest.mark.long if image in WITH_TORCH else ()) for image in IMAGES]
)
def test_an_image_has_all_that_its_service_imports(image: str, lists: Path) -> None:
    there = installed(lists, extras_of(image))
    refused = [top for top, names in packages().items() if not names & there and "zhiyin" not in names]
    assert "pytest" in refused
    modules = ENTRY[image]
    if image in SERVICES:
        modules = ("shared.http.__main__", *modules)
    if image in WITH_TABLES:
        modules = (
            "shared.storage.migrations",
            f"services.{image}.models" if image == "business" else modules[1],
            *modules,
        )
    held = [Path(path) for path in gathered(image)]
    for file in loaded(modules, refused):
        assert any(file.is_relative_to(path) for path in held), f"{file} is not in the image {image}"


@pytest.mark.parametrize(
    ("image", "package"),
    [
        ("intent", "torch"),
        ("intent-gpu", "openvino"),
        ("login", "celery"),
        ("login", "numpy"),
        ("login", "zen-engine"),
        ("business", "numpy"),
        ("worker", "typer"),
    ],
)
def test_an_image_has_nothing_of_other_services(image: str, package: str, lists: Path) -> None:
    assert package not in installed(lists, extras_of(image))


def test_training_in_a_build_has_the_files_that_it_imports() -> None:
    held = [Path(path) for copy in FILE.stages["model"].copies() if copy.source is None for path in copy.paths]
    modules = tuple(
        f"services.learning.{name}"
        for name in ("runs.runs", "training.pipeline", "evaluation.prediction", "evaluation.report")
    )
    for file in loaded(modules, []):
        assert any(file.is_relative_to(path) for path in held), f"the stage model lacks {file}"


def model_in(home: Path, version: str) -> None:
    folder = home / "models" / "shop" / version
    folder.mkdir(parents=True)
    for name in (*bake.ALWAYS, *BOTH, "training.json"):
        (folder / name).write_text(f"{name} of {version}")
        (folder / name).chmod(0o600)
    (home / "models" / "shop" / "production").write_text(f"{version}\n")


def test_a_model_is_taken_as_it_is_served(tmp_path: Path) -> None:
    model_in(tmp_path / "home", "v1")
    target = tmp_path / "image" / "models" / "shop"
    assert bake.take(tmp_path / "home" / "models" / "shop", target, ["model.onnx"]) == "v1"
    assert (target / "production").read_text() == "v1\n"
    assert {each.name for each in (target / "v1").iterdir()} == {*bake.ALWAYS, "model.onnx"}
    assert {each.stat().st_mode & 0o777 for each in (target / "v1").iterdir()} == {0o644}


def test_a_newer_model_replaces_the_one_that_was_taken(tmp_path: Path) -> None:
    source, target = tmp_path / "home" / "models" / "shop", tmp_path / "image"
    model_in(tmp_path / "home", "v1")
    bake.take(source, target, BOTH)
    first = (target / "v1" / BOTH[1]).stat().st_mtime_ns
    bake.take(source, target, BOTH)
    assert (target / "v1" / BOTH[1]).stat().st_mtime_ns == first, "a cache would not know it again"
    model_in(tmp_path / "home", "v2")
    assert bake.take(source, target, BOTH) == "v2"
    assert {each.name for each in target.iterdir()} == {"production", "v2"}


def test_without_a_model_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"no model in .*train"):
        bake.take(tmp_path, tmp_path / "image", BOTH)


def test_requirements_are_the_same_files_again(lists: Path, tmp_path: Path) -> None:
    requirements.main(ROOT / "pyproject.toml", tmp_path)
    for path in lists.iterdir():
        again = tmp_path / path.name
        assert again.read_bytes() == path.read_bytes()
        assert again.stat().st_mtime == 0
    assert "zhiyin" not in (lists / "login.txt").read_text()
    assert "sqlalchemy[asyncio]" in (lists / "login.txt").read_text()
