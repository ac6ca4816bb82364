"""Training as a Job."""

from typing import Any

from tests.chart.chart import Object, environment, render
from tests.chart.variants import rendered


def job(**learning: Any) -> Object:
    """The Job of a chart with learning."""
    return render({"learning": {"enabled": True, **learning}}).get("Job", "learning")


def test_nothing_trains_by_default() -> None:
    assert not [each for each in rendered("default").objects if "learning" in each["metadata"]["name"]]


def test_it_waits_until_it_is_let_go() -> None:
    assert job()["spec"]["suspend"] is True
    assert job(suspend=False)["spec"]["suspend"] is False


def test_what_it_runs() -> None:
    spec = job(assistant="/data/mine", args=["--seed", "7"])["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert container["command"] == ["python", "-m", "cli.main", "train", "/data/mine"]
    assert container["args"] == ["--seed", "7"]
    assert container["image"] == "ghcr.io/zhiyin/zhiyin-learning:0.1.0"
    assert spec["restartPolicy"] == "Never"
    assert environment(container)["OMP_NUM_THREADS"]["resourceFieldRef"]["containerName"] == container["name"]


def test_what_was_trained_is_kept() -> None:
    chart = render({"learning": {"enabled": True}})
    claim = chart.get("PersistentVolumeClaim", "learning")
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    spec = chart.get("Job", "learning")["spec"]["template"]["spec"]
    volumes = {each["name"]: each for each in spec["volumes"]}
    home = environment(spec["containers"][0])["ZHIYIN_HOME"]
    mounted = next(each["name"] for each in spec["containers"][0]["volumeMounts"] if each["mountPath"] == home)
    assert volumes[mounted]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]


def test_a_claim_that_is_there() -> None:
    chart = render({"learning": {"enabled": True, "persistence": {"existingClaim": "models"}}})
    assert chart.names("PersistentVolumeClaim").isdisjoint({"zhiyin-learning"})
    volumes = chart.get("Job", "learning")["spec"]["template"]["spec"]["volumes"]
    assert {"claimName": "models"} in [each.get("persistentVolumeClaim") for each in volumes]


def test_without_a_volume() -> None:
    chart = render({"learning": {"enabled": True, "persistence": {"enabled": False}}})
    assert "zhiyin-learning" not in chart.names("PersistentVolumeClaim")


def test_it_comes_to_an_end() -> None:
    spec = job(activeDeadlineSeconds=60, ttlSecondsAfterFinished=5, backoffLimit=0)["spec"]
    assert (spec["activeDeadlineSeconds"], spec["ttlSecondsAfterFinished"], spec["backoffLimit"]) == (60, 5, 0)


def test_it_reaches_nothing_and_nobody_reaches_it() -> None:
    chart = render({"learning": {"enabled": True}})
    labels = chart.get("Job", "learning")["spec"]["template"]["metadata"]["labels"]
    selecting = [
        each["metadata"]["name"]
        for each in chart.of("NetworkPolicy")
        if each["spec"]["podSelector"].get("matchLabels", {}).items() <= labels.items()
    ]
    assert set(selecting) == {"zhiyin-default-deny", "zhiyin-dns"}
