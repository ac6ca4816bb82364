"""skaffold.yaml builds what the Dockerfile has, deploys what the chart takes, and syncs to where programs run."""

import re
from typing import Annotated, Any, Literal

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from tests.chart.chart import CHART, PROJECT, Object, render
from tests.chart.variants import COMPONENTS

DOCKERFILE = (PROJECT / "deploy" / "images" / "Dockerfile").read_text()
TARGETS = set(re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE, re.MULTILINE))


class Strict(BaseModel):
    """A part of skaffold's schema v4beta14: the fields that are used here, and no others."""

    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel)


class Docker(Strict):
    dockerfile: str
    target: str
    build_args: dict[str, str] = {}


class Manual(Strict):
    src: str
    dest: str
    strip: str = ""


class Command(Strict):
    command: Annotated[list[str], Field(min_length=1)]


class SyncHook(Strict):
    container: Command


class SyncHooks(Strict):
    before: list[SyncHook] = []
    after: list[SyncHook] = []


class Sync(Strict):
    manual: Annotated[list[Manual], Field(min_length=1)]
    hooks: SyncHooks


class Artifact(Strict):
    image: str
    context: str = "."
    docker: Docker
    sync: Sync


class Local(Strict):
    push: bool | None = None
    use_buildkit: bool | None = None


class TagPolicy(Strict):
    input_digest: dict[str, Any]


class Build(Strict):
    local: Local
    tag_policy: TagPolicy
    artifacts: Annotated[list[Artifact], Field(min_length=1)]


class Release(Strict):
    name: str
    chart_path: str
    namespace: str
    create_namespace: bool
    values_files: list[str]
    set_value_templates: dict[str, str]


class Helm(Strict):
    releases: Annotated[list[Release], Field(min_length=1)]


class Deploy(Strict):
    status_check_deadline_seconds: int
    helm: Helm


class PortForward(Strict):
    resource_type: Literal["service", "deployment", "pod"]
    resource_name: str
    namespace: str
    port: int
    local_port: int


class Named(Strict):
    name: str


class Config(Strict):
    api_version: Literal["skaffold/v4beta14"]
    kind: Literal["Config"]
    metadata: Named
    build: Build
    deploy: Deploy
    port_forward: list[PortForward]


CONFIG = Config.model_validate(yaml.safe_load((PROJECT / "skaffold.yaml").read_text()))
ARTIFACTS = {each.image.removeprefix("zhiyin-"): each for each in CONFIG.build.artifacts}
RELEASE = CONFIG.deploy.helm.releases[0]


def deployed() -> Object:
    """The values of the deployment, with what skaffold fills in."""
    values: Object = {}
    for path, template in RELEASE.set_value_templates.items():
        filled = re.sub(r"\{\{\.IMAGE_(REPO|TAG)_(\w+)\}\}", lambda found: f"{found[1].lower()}-{found[2]}", template)
        *above, last = path.split(".")
        holder = values
        for part in above:
            holder = holder.setdefault(part, {})
        holder[last] = filled
    return values


def files() -> tuple[str, ...]:
    """The values files of the deployment, as seen from the chart."""
    return tuple(str((PROJECT / each).relative_to(CHART)) for each in RELEASE.values_files)


def test_every_component_is_built() -> None:
    assert set(ARTIFACTS) == set(COMPONENTS)
    for name, artifact in ARTIFACTS.items():
        assert artifact.docker.target == name
        assert artifact.docker.target in TARGETS
        assert (PROJECT / artifact.context / artifact.docker.dockerfile).exists()


def test_the_chart_runs_what_was_built() -> None:
    assert PROJECT / RELEASE.chart_path == CHART
    chart = render(deployed(), files=files())
    for component in COMPONENTS:
        assert chart.container(component)["image"] == f"repo-zhiyin_{component}:tag-zhiyin_{component}"


def test_templates_name_artifacts_as_skaffold_does() -> None:
    named = {name for text in RELEASE.set_value_templates.values() for name in re.findall(r"IMAGE_[A-Z]+_(\w+)", text)}
    assert named == {each.image.replace("-", "_") for each in CONFIG.build.artifacts}


@pytest.mark.parametrize("component", COMPONENTS)
def test_synced_files_are_in_the_image(component: str) -> None:
    """What is synced is what the image has, and goes where the image has it: below its working folder."""
    gathered = re.search(
        rf"gather {'business' if component == 'worker' else component} (.+?)(?: \\|$)", DOCKERFILE, re.MULTILINE
    )
    assert gathered is not None
    folders = {"shared", *gathered[1].split()}
    for rule in ARTIFACTS[component].sync.manual:
        assert list(PROJECT.glob(rule.src)), f"{rule.src} matches no file"
        assert rule.src.partition("/**")[0] in folders, rule.src
        assert (rule.dest, rule.strip) == (".", "")
    assert {each.src.partition("/**")[0] for each in ARTIFACTS[component].sync.manual} == folders
    assert "WORKDIR /app" in DOCKERFILE


@pytest.mark.parametrize("component", COMPONENTS)
def test_synced_files_can_be_written_and_take_effect(component: str) -> None:
    chart = render(deployed(), files=files())
    container = chart.container(component)
    assert "/app" in [each["mountPath"] for each in container["volumeMounts"]]
    noted = re.search(r"echo \$program > (\S+);", container["command"][-1])
    assert noted is not None
    (hook,) = ARTIFACTS[component].sync.hooks.after
    assert f"kill $(cat {noted[1]})" in hook.container.command


def test_the_chat_is_forwarded() -> None:
    (forward,) = CONFIG.port_forward
    service = render(deployed(), files=files()).get("Service", forward.resource_name.removeprefix("zhiyin-"))
    assert forward.port in [each["port"] for each in service["spec"]["ports"]]
    assert forward.namespace == RELEASE.namespace
