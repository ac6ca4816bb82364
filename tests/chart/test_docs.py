"""What docs/kubernetes.md says about the chart is so: its commands, its values, its links, its figures' places."""

import re
import subprocess
from typing import Any

import pytest
import yaml

from tests.chart.chart import CHART, PROJECT, render

PAGE = PROJECT / "docs" / "kubernetes.md"
TEXT = PAGE.read_text()
PROSE = re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL)
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())


def blocks(language: str, text: str = TEXT) -> list[str]:
    """A page's code of one language."""
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def exists(path: str) -> bool:
    """Whether there is such a value; those of components may stand among the defaults."""
    parts = path.split(".")
    if parts[0] == "components" and len(parts) > 2 and parts[1] in VALUES["components"]:
        return found(VALUES["components"][parts[1]], parts[2:]) or found(VALUES["componentDefaults"], parts[2:])
    return found(VALUES, parts)


def found(values: Any, parts: list[str]) -> bool:
    """Whether there is a value at a path."""
    for part in parts:
        if not isinstance(values, dict) or part not in values:
            return False
        values = values[part]
    return True


def test_there_are_commands_that_name_files_and_values() -> None:
    assert len(re.findall(r"(?:--values |helm \w+ zhiyin |--kustomize )deploy/", "".join(blocks("sh")))) > 3
    assert re.search(r"--set [\w.]+=", "".join(blocks("sh")))


@pytest.mark.parametrize("block", [*blocks("sh"), *blocks("sh", (PAGE.parent / "backup.md").read_text())])
def test_commands_are_shell_and_name_files_that_are_there(block: str) -> None:
    subprocess.run(["bash", "-n"], input=block, text=True, check=True)
    for file in re.findall(r"(?:--values |helm \w+ zhiyin |--kustomize )(deploy/\S+)", block):
        assert (PROJECT / file).exists(), file
    for value in re.findall(r"--set ([\w.]+)=", block):
        assert exists(value), value


def test_values_of_ones_own_go_over_those_for_production() -> None:
    (mine,) = blocks("yaml")
    chart = render(yaml.safe_load(mine), files=("values-production.yaml",))
    assert chart.get("Ingress", "dialogue")["spec"]["rules"][0]["host"] == "chat.example.com"
    assert chart.get("ScaledObject", "worker")["spec"]["triggers"][0]["metadata"]["address"] == "redis.example.com:6379"


def test_every_value_that_is_named_exists() -> None:
    named = set(re.findall(r"`([a-zA-Z]+(?:\.[a-zA-Z]+)+)(?:: [^`]+)?`", PROSE))
    values = {each for each in named if each.split(".")[0] in VALUES}
    assert len(values) > 20
    assert {each for each in values if not exists(each)} == set()


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", TEXT)
    assert links
    for link in links:
        assert (PAGE.parent / link).exists(), link


def test_all_points_are_answered() -> None:
    answers = re.findall(r"^\| (\d+) \| .+ \| (holds|does not|in part)", TEXT, re.MULTILINE)
    assert [int(number) for number, _ in answers] == list(range(1, 43))


def test_make_targets_exist() -> None:
    makefile = (PROJECT / "Makefile").read_text()
    targets = set(re.findall(r"`make ([a-z0-9-]+)`", TEXT))
    assert targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
