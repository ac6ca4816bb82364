"""How many pods there are, who decides it, and how few a disruption may leave."""

from typing import Any

import pytest

from shared.queue.references import ACTIONS, queue_prefix
from tests.chart.chart import Object, Rendered, render
from tests.chart.variants import COMPONENTS, VARIANTS, rendered
from tests.kubernetes import CommandFailed

SCALABLE = [each for each in COMPONENTS if each != "worker"]


def autoscaled(component: str, **settings: Any) -> Rendered:
    """The chart with an autoscaler for one component."""
    return render({"components": {component: {"autoscaling": {"enabled": True, **settings}}}})


@pytest.mark.parametrize("component", COMPONENTS)
def test_replicas(component: str) -> None:
    chart = render({"components": {component: {"replicas": 4}}})
    assert chart.get("Deployment", component)["spec"]["replicas"] == 4
    assert rendered("default").get("Deployment", component)["spec"]["replicas"] == 1


@pytest.mark.parametrize("component", COMPONENTS)
def test_an_autoscaler_owns_the_number(component: str) -> None:
    chart = autoscaled(component, minReplicas=3, maxReplicas=9, targetCPUUtilizationPercentage=55)
    deployment = chart.get("Deployment", component)
    assert "replicas" not in deployment["spec"]
    autoscaler = chart.get("HorizontalPodAutoscaler", component)
    assert autoscaler["apiVersion"] == "autoscaling/v2"
    spec = autoscaler["spec"]
    assert spec["scaleTargetRef"] == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": deployment["metadata"]["name"],
    }
    assert (spec["minReplicas"], spec["maxReplicas"]) == (3, 9)
    assert spec["metrics"] == [
        {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 55}}}
    ]
    assert chart.names("HorizontalPodAutoscaler") == {f"zhiyin-{component}"}


@pytest.mark.parametrize("component", ["dialogue", "intent"])
def test_pods_come_fast_and_go_slowly(component: str) -> None:
    behavior = autoscaled(component).get("HorizontalPodAutoscaler", component)["spec"]["behavior"]
    assert behavior["scaleUp"]["stabilizationWindowSeconds"] == 0
    assert behavior["scaleDown"]["stabilizationWindowSeconds"] >= 300
    assert behavior["scaleDown"]["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 60}]


def test_metrics_of_ones_own() -> None:
    metric = {
        "type": "Pods",
        "pods": {"metric": {"name": "turns_per_second"}, "target": {"type": "AverageValue", "averageValue": "20"}},
    }
    spec = autoscaled("dialogue", metrics=[metric]).get("HorizontalPodAutoscaler", "dialogue")["spec"]
    assert spec["metrics"] == [metric]


def test_a_target_needs_what_it_is_a_share_of() -> None:
    for component in COMPONENTS:
        assert rendered("default").container(component)["resources"]["requests"]["cpu"]


@pytest.mark.parametrize("installation", ["zhiyin", "shop-2"])
def test_keda_counts_the_queue_of_its_own_installation(installation: str) -> None:
    chart = render(
        {
            "installation": installation,
            "components": {"worker": {"keda": {"enabled": True}}},
        }
    )
    (trigger,) = chart.get("ScaledObject", "worker")["spec"]["triggers"]
    assert trigger["metadata"]["listName"] == queue_prefix(installation) + ACTIONS


def test_keda_scales_the_worker_by_queued_actions() -> None:
    chart = render({"components": {"worker": {"concurrency": 3, "keda": {"enabled": True, "maxReplicas": 7}}}})
    assert "replicas" not in chart.get("Deployment", "worker")["spec"]
    assert chart.names("HorizontalPodAutoscaler") == set()
    spec = chart.get("ScaledObject", "worker")["spec"]
    assert spec["scaleTargetRef"]["name"] == "zhiyin-worker"
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (1, 7)
    counted = {each["name"]: each["metadata"]["listName"] for each in spec["triggers"]}
    assert counted == {
        "queued": queue_prefix(chart.get("ConfigMap", "config")["data"]["ZHIYIN_INSTALLATION"]) + ACTIONS
    }
    assert spec["triggers"][0]["metadata"]["listLength"] == "3"
    assert spec["triggers"][0]["metadata"]["username"] == "keda"
    (password,) = chart.get("TriggerAuthentication", "worker-redis")["spec"]["secretTargetRef"]
    assert password == {"parameter": "password", "name": "zhiyin-secrets", "key": "redis-password-keda"}
    behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    action = chart.container("worker")
    longest = next(each["value"] for each in action["env"] if each["name"] == "ZHIYIN_WARM_STOP_SECONDS")
    assert behavior["scaleDown"]["stabilizationWindowSeconds"] >= float(longest)


def test_keda_and_an_autoscaler_do_not_fight() -> None:
    with pytest.raises(CommandFailed, match="keda and autoscaling both own"):
        render({"components": {"worker": {"keda": {"enabled": True}, "autoscaling": {"enabled": True}}}})


@pytest.mark.parametrize("variant", VARIANTS)
def test_nobody_else_sets_a_number_that_an_autoscaler_owns(variant: str) -> None:
    chart = rendered(variant)
    owned = {each["spec"]["scaleTargetRef"]["name"] for each in autoscalers(chart)}
    deployments = {each["metadata"]["name"]: each["spec"] for each in chart.of("Deployment")}
    assert owned <= deployments.keys()
    for name, spec in deployments.items():
        assert ("replicas" in spec) is (name not in owned), name


def autoscalers(chart: Rendered) -> list[Object]:
    """Everything that owns a number of pods."""
    return chart.of("HorizontalPodAutoscaler") + chart.of("ScaledObject")


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_budget_only_where_there_is_more_than_one_pod(component: str) -> None:
    assert rendered("default").names("PodDisruptionBudget") == set()
    chart = render({"components": {component: {"replicas": 2}}})
    assert chart.names("PodDisruptionBudget") == {f"zhiyin-{component}"}
    budget = chart.get("PodDisruptionBudget", component)
    assert budget["apiVersion"] == "policy/v1"
    assert budget["spec"]["maxUnavailable"] == 1
    selector = chart.get("Deployment", component)["spec"]["selector"]
    assert budget["spec"]["selector"]["matchLabels"].items() <= selector["matchLabels"].items()


def test_a_budget_follows_the_autoscalers_fewest() -> None:
    assert autoscaled("dialogue", minReplicas=2).names("PodDisruptionBudget") == {"zhiyin-dialogue"}
    assert autoscaled("dialogue", minReplicas=1).names("PodDisruptionBudget") == set()
    keda = render({"components": {"worker": {"keda": {"enabled": True, "minReplicas": 2}}}})
    assert keda.names("PodDisruptionBudget") == {"zhiyin-worker"}


def test_no_budget_when_it_is_not_wanted() -> None:
    chart = render({"componentDefaults": {"replicas": 3, "pdb": {"enabled": False}}})
    assert chart.of("PodDisruptionBudget") == []


@pytest.mark.parametrize("component", COMPONENTS)
def test_an_update_never_has_fewer_pods(component: str) -> None:
    strategy = rendered("default").get("Deployment", component)["spec"]["strategy"]
    assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}


def test_stores_are_one_pod_each() -> None:
    for store in ("redis", "consul", "postgresql"):
        assert rendered("default").get("StatefulSet", store)["spec"]["replicas"] == 1
