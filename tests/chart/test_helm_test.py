"""What `helm test` runs, and what an install prints."""

import ast
import json
import re
import shlex
import subprocess
import sys
from itertools import pairwise

import pytest

from tests.chart.chart import CHART, NAMESPACE, RELEASE, environment, render
from tests.chart.variants import rendered
from tests.kubernetes import helm

PROGRAM = (CHART / "files" / "tests" / "chat.py").read_text()


def notes(*arguments: str) -> str:
    """What `helm install` prints for a person."""
    dry = ("install", RELEASE, str(CHART), "--namespace", NAMESPACE, "--dry-run=client", "--hide-secret", *arguments)
    return helm(*dry).partition("\nNOTES:\n")[2]


def test_the_test_is_a_hook_that_cleans_up_behind_itself() -> None:
    pod = rendered("default").get("Pod", "test-chat")
    annotations = pod["metadata"]["annotations"]
    assert annotations["helm.sh/hook"] == "test"
    assert "before-hook-creation" in annotations["helm.sh/hook-delete-policy"]
    assert pod["spec"]["restartPolicy"] == "Never"


def test_the_test_knows_where_the_chat_is_and_who_it_is() -> None:
    chart = rendered("default")
    container = chart.get("Pod", "test-chat")["spec"]["containers"][0]
    env = environment(container)
    assert env["ZHIYIN_URL"] == "http://zhiyin-dialogue"
    assert [each["port"] for each in chart.get("Service", "dialogue")["spec"]["ports"] if each["name"] == "http"] == [
        80
    ]
    assert container["command"][:2] == ["python", "-c"]
    assert container["command"][2] == PROGRAM


def test_its_program_needs_nothing_but_python() -> None:
    """It runs in the image of the chat, and must not fail because of what it imports from there."""
    imported = {
        alias.name.split(".")[0]
        for node in ast.walk(ast.parse(PROGRAM))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in (node.names if isinstance(node, ast.Import) else [ast.alias(node.module or "")])
    }
    assert imported <= sys.stdlib_module_names


def test_it_tries_both_languages() -> None:
    texts = [each.value for each in ast.walk(ast.parse(PROGRAM)) if isinstance(each, ast.Constant)]
    assert {"zh", "en"} <= {each for each in texts if isinstance(each, str)}


def test_no_test_without_a_chat() -> None:
    assert render({"components": {"dialogue": {"enabled": False}}}).of("Pod") == []


def commands(text: str) -> list[str]:
    """The commands among notes: what is indented."""
    return [line.strip() for line in text.splitlines() if line.startswith("  ") and line.strip()]


def test_notes_print_commands_for_this_release() -> None:
    text = notes()
    found = commands(text)
    assert len(found) >= 3
    assert "{{" not in text.replace('{{index .data "admin-password" | base64decode}}', "")
    for each in found:
        assert "<" not in each, f"{each}: something is left to fill in"
        checked = subprocess.run(["bash", "-n"], input=each, text=True, capture_output=True, check=False)
        assert checked.returncode == 0, f"{each}: {checked.stderr}"


def test_commands_of_the_notes_name_what_is_there() -> None:
    chart = rendered("default")
    assert all(
        re.search(what, notes()) for what in ("service/", "get secret ", r"index \.data ", "kubectl", "--selector ")
    )
    for each in commands(notes()):
        for service in re.findall(r"service/(\S+)", each):
            assert service in chart.names("Service")
        for secret in re.findall(r"get secret (\S+)", each):
            keys = next(one["data"] for one in chart.of("Secret") if one["metadata"]["name"] == secret)
            for key in re.findall(r'index \.data "([^"]+)"', each):
                assert key in keys
        if each.startswith("kubectl"):
            assert f"--namespace {NAMESPACE}" in each
            for selector in re.findall(r"--selector (\S+)", each):
                labels = [part.partition("=")[::2] for part in selector.split(",")]
                pods = chart.pod("dialogue")["metadata"]["labels"]
                assert all(pods[key] == value or not value for key, value in labels), selector


def test_bodies_in_the_notes_are_json() -> None:
    bodies = []
    for each in commands(notes()):
        words = shlex.split(each.replace("$(", " ").replace(")", " "))
        for flag, body in pairwise(words):
            if flag == "-d":
                bodies.append(json.loads(body))
    assert bodies
    assert all(bodies)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--set", "ingress.enabled=true"), "http://chat.example.com"),
        ((), "WARNING: postgresql"),
        (("--set", "ingress.enabled=true"), "WARNING: all customers behind the proxy count as one address"),
        ((), "helm test zhiyin --namespace support"),
        (("--set", "environment=development"), "values-production.yaml"),
    ],
)
def test_notes_fit_the_values(arguments: tuple[str, ...], said: str) -> None:
    assert said in notes(*arguments)


def test_notes_do_not_warn_of_a_proxy_that_is_named_or_not_there() -> None:
    named = notes("--set", "ingress.enabled=true", "--set-json", 'trustedProxies=["10.42.0.0/16"]')
    assert "behind the proxy" not in named
    assert "behind the proxy" not in notes()


def test_notes_show_no_secret() -> None:
    assert not re.search(r"[A-Za-z0-9]{32,}", notes())
