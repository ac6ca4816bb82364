"""Where pods go, and who goes first."""

from typing import Any

import pytest

from tests.chart.chart import Object, pod_template, render
from tests.chart.variants import COMPONENTS, rendered


def anti_affinity(preset: str) -> Any:
    """What a preset gives the pods of dialogue."""
    spec = render({"components": {"dialogue": {"podAntiAffinityPreset": preset}}}).pod("dialogue")["spec"]
    return spec.get("affinity", {}).get("podAntiAffinity")


def test_pods_of_a_component_avoid_each_others_node() -> None:
    soft = anti_affinity("soft")["preferredDuringSchedulingIgnoredDuringExecution"]
    hard = anti_affinity("hard")["requiredDuringSchedulingIgnoredDuringExecution"]
    labels = rendered("default").pod("dialogue")["metadata"]["labels"]
    for term in (soft[0]["podAffinityTerm"], hard[0]):
        assert term["topologyKey"] == "kubernetes.io/hostname"
        selector = term["labelSelector"]["matchLabels"]
        assert selector.items() <= labels.items()
        assert selector["app.kubernetes.io/component"] == "dialogue"
    assert anti_affinity("none") is None


@pytest.mark.parametrize("component", COMPONENTS)
def test_pods_spread_over_zones_and_nodes(component: str) -> None:
    template = rendered("default").pod(component)
    constraints = template["spec"]["topologySpreadConstraints"]
    assert {each["topologyKey"] for each in constraints} == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}
    for each in constraints:
        assert each["whenUnsatisfiable"] == "ScheduleAnyway"
        assert each["labelSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()


def priorities(values: Object) -> dict[str, str | None]:
    """The PriorityClass of each workload."""
    return {
        each["metadata"]["name"]: pod_template(each)["spec"].get("priorityClassName")
        for each in render(values).workloads()
    }


def test_priority_classes() -> None:
    assert set(priorities({}).values()) == {None}
    values: Object = {"priorityClasses": {"create": True}, "learning": {"enabled": True}}
    chosen = priorities(values)
    made = {each["metadata"]["name"]: each["value"] for each in render(values).of("PriorityClass")}
    assert set(chosen.values()) - {None} <= made.keys()
    assert (
        made[str(chosen["zhiyin-dialogue"])]
        > 0
        > made[str(chosen[render(values).get("Job", "learning")["metadata"]["name"]])]
    )


def test_a_priority_class_of_ones_own() -> None:
    chosen = priorities(
        {"priorityClasses": {"create": True}, "components": {"intent": {"priorityClassName": "important"}}}
    )
    assert chosen["zhiyin-intent"] == "important"
    assert chosen["zhiyin-dialogue"] != "important"


def test_system_priorities_are_not_taken() -> None:
    classes = rendered("add-ons").of("PriorityClass")
    assert classes
    for each in classes:
        assert abs(each["value"]) < 1_000_000_000
        assert each["globalDefault"] is False
