"""A pool of `intent` on GPUs, and training on one."""

import pytest

from tests.chart.chart import Rendered, environment, render
from tests.chart.variants import rendered


def pool(**gpu: object) -> Rendered:
    """The chart with a GPU pool."""
    return render({"components": {"intent": {"gpu": {"enabled": True, **gpu}}}})


def test_no_gpu_is_asked_for_by_default() -> None:
    chart = rendered("default")
    assert "zhiyin-intent-gpu" not in chart.names("Deployment")
    assert "nvidia" not in str(chart.objects)


@pytest.mark.parametrize("resource", ["nvidia.com/gpu", "nvidia.com/mig-1g.10gb", "amd.com/gpu"])
def test_a_pod_asks_for_its_gpu_by_name(resource: str) -> None:
    resources = pool(resourceName=resource, count=2).container("intent-gpu")["resources"]
    assert resources["limits"][resource] == resources["requests"][resource]
    assert str(resources["limits"][resource]) == "2"
    others = {name for name in resources["limits"] if "/" in name} - {resource}
    assert others == set()


def test_a_pod_lands_where_gpus_are() -> None:
    spec = pool(
        nodeSelector={"nvidia.com/gpu.present": "true"},
        tolerations=[{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
        runtimeClassName="nvidia",
    ).pod("intent-gpu")["spec"]
    assert spec["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
    assert {"key": "gpu", "operator": "Exists", "effect": "NoSchedule"} in spec["tolerations"]
    assert spec["runtimeClassName"] == "nvidia"


def test_nodes_with_gpus_are_tolerated_without_being_asked() -> None:
    tolerations = pool().pod("intent-gpu")["spec"]["tolerations"]
    assert [each["key"] for each in tolerations] == ["nvidia.com/gpu"]


def test_a_rollout_on_a_single_gpu_does_not_wait_for_itself() -> None:
    strategy = pool().get("Deployment", "intent-gpu")["spec"]["strategy"]
    assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}


def test_the_gpu_image_is_another() -> None:
    chart = rendered("gpu")
    assert chart.container("intent-gpu")["image"] == "ghcr.io/zhiyin/zhiyin-intent-gpu:0.1.0"
    assert chart.container("intent")["image"] == "ghcr.io/zhiyin/zhiyin-intent:0.1.0"


def test_both_pools_are_one_service() -> None:
    chart = rendered("gpu")
    cpu, gpu = (chart.pod(name)["metadata"]["labels"] for name in ("intent", "intent-gpu"))
    selector = chart.get("Service", "intent")["spec"]["selector"]
    assert selector.items() <= cpu.items()
    assert selector.items() <= gpu.items()
    assert chart.container("intent-gpu")["command"][-1] == "intent"
    own = chart.get("Deployment", "intent-gpu")["spec"]["selector"]["matchLabels"]
    assert not own.items() <= cpu.items()


def test_the_cpu_pool_stays_or_goes() -> None:
    assert {"zhiyin-intent", "zhiyin-intent-gpu"} <= rendered("gpu").names("Deployment")
    only = rendered("gpu only").names("Deployment")
    assert "zhiyin-intent-gpu" in only
    assert "zhiyin-intent" not in only
    assert "zhiyin-intent" in rendered("gpu only").names("Service")


def test_the_cpu_pool_does_not_change_when_a_gpu_pool_comes_beside_it() -> None:
    fixed = {"secrets": {"existingSecret": "mine"}}
    without = render(fixed)
    beside = render({**fixed, "components": {"intent": {"gpu": {"enabled": True}}}})
    assert without.get("Deployment", "intent") == beside.get("Deployment", "intent")


def test_replicas_and_variables_of_the_pool() -> None:
    chart = pool(replicas=3, env={"ZHIYIN_INFERENCE_PRECISION": "bf16"})
    assert chart.get("Deployment", "intent-gpu")["spec"]["replicas"] == 3
    assert environment(chart.container("intent-gpu"))["ZHIYIN_INFERENCE_PRECISION"] == "bf16"
    assert "ZHIYIN_INFERENCE_PRECISION" not in environment(chart.container("intent"))


def test_streams_on_a_gpu_are_not_counted_by_cores() -> None:
    assert "ZHIYIN_INFERENCE_STREAMS" not in environment(rendered("gpu").container("intent-gpu"))


def test_the_autoscaler_is_the_cpu_pools() -> None:
    chart = render({"components": {"intent": {"autoscaling": {"enabled": True}, "gpu": {"enabled": True}}}})
    assert chart.names("HorizontalPodAutoscaler") == {"zhiyin-intent"}
    assert "replicas" in chart.get("Deployment", "intent-gpu")["spec"]


def test_training_on_a_gpu() -> None:
    chart = render(
        {
            "learning": {
                "enabled": True,
                "gpu": {
                    "enabled": True,
                    "resourceName": "nvidia.com/mig-2g.20gb",
                    "nodeSelector": {"pool": "training"},
                    "runtimeClassName": "nvidia",
                },
            }
        }
    )
    job = chart.get("Job", "learning")
    spec = job["spec"]["template"]["spec"]
    assert str(spec["containers"][0]["resources"]["limits"]["nvidia.com/mig-2g.20gb"]) == "1"
    assert spec["nodeSelector"] == {"pool": "training"}
    assert spec["runtimeClassName"] == "nvidia"
    assert [each["key"] for each in spec["tolerations"]] == ["nvidia.com/gpu"]
