"""Probes with three meanings, and a stop for which there is time."""

import pytest

from services.business.settings import Settings
from tests.chart.chart import Object, environment, render
from tests.chart.variants import COMPONENTS, VARIANTS, rendered


@pytest.mark.parametrize("component", COMPONENTS)
def test_the_three_probes_ask_what_they_mean(component: str) -> None:
    container = rendered("default").container(component)
    assert container["startupProbe"]["httpGet"] == {"path": "/health/live", "port": "http"}
    assert container["livenessProbe"]["httpGet"] == {"path": "/health/live", "port": "http"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/health/ready", "port": "http"}
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    assert ports == {"http": 8080, "metrics": 9090}


@pytest.mark.parametrize("seconds", [10, 45, 180, 301])
def test_a_start_has_the_time_it_was_given(seconds: int) -> None:
    probe = render({"components": {"intent": {"startupSeconds": seconds}}}).container("intent")["startupProbe"]
    assert seconds <= probe["periodSeconds"] * probe["failureThreshold"] <= seconds + probe["periodSeconds"]


def test_waiting_for_the_database_ends_before_the_start_is_given_up() -> None:
    for component in ("login", "dialogue", "business", "worker"):
        container = rendered("default").container(component)
        probe = container["startupProbe"]
        waits = float(environment(container)["ZHIYIN_DATABASE_WAIT_SECONDS"])
        assert waits <= probe["periodSeconds"] * probe["failureThreshold"]


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_stuck_process_is_noticed_late_and_a_busy_one_early(component: str) -> None:
    container = rendered("default").container(component)
    live, ready = container["livenessProbe"], container["readinessProbe"]
    assert live["periodSeconds"] * live["failureThreshold"] >= 20
    assert ready["periodSeconds"] * ready["failureThreshold"] <= 10


@pytest.mark.parametrize("component", COMPONENTS)
@pytest.mark.parametrize("values", [{}, {"drainSeconds": 12, "workSeconds": 90}])
def test_a_stopping_pod_has_time_to_drain_and_to_finish(component: str, values: dict[str, int]) -> None:
    chart = render({"components": {component: values}})
    env = environment(chart.container(component))
    grace = chart.pod(component)["spec"]["terminationGracePeriodSeconds"]
    needs = sum(
        float(env.get(name, 0)) for name in ("ZHIYIN_DRAIN_SECONDS", "ZHIYIN_STOP_SECONDS", "ZHIYIN_WARM_STOP_SECONDS")
    )
    assert needs >= sum(values.values())
    assert grace > needs


def test_grace_periods_by_hand() -> None:
    chart = render({"components": {"dialogue": {"terminationGracePeriodSeconds": 123}}})
    assert chart.pod("dialogue")["spec"]["terminationGracePeriodSeconds"] == 123
    assert chart.pod("login")["spec"]["terminationGracePeriodSeconds"] != 123


def test_the_worker_finishes_an_action_of_the_longest_kind() -> None:
    env = environment(rendered("default").container("worker"))
    assert float(env["ZHIYIN_WARM_STOP_SECONDS"]) >= Settings.model_fields["action_seconds"].default


@pytest.mark.parametrize("store", ["redis", "consul", "postgresql"])
def test_stores_are_probed(store: str) -> None:
    container = rendered("default").container(store, "StatefulSet")
    for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert handlers(container[kind]), kind
    # Readiness asks the store itself; liveness must not kill one that is only busy or waiting for its disk.
    assert handlers(container["readinessProbe"]) != handlers(container["livenessProbe"])


def handlers(probe: Object) -> dict[str, Object]:
    """What a probe does."""
    return {kind: probe[kind] for kind in ("httpGet", "tcpSocket", "exec", "grpc") if kind in probe}


@pytest.mark.parametrize("variant", VARIANTS)
def test_probes_ask_ports_that_are_there(variant: str) -> None:
    for each in rendered(variant).workloads():
        for container in each["spec"].get("template", each)["spec"]["containers"]:
            ports = container.get("ports", [])
            known = {port["name"] for port in ports} | {port["containerPort"] for port in ports}
            for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
                for handler in handlers(container.get(kind, {})).values():
                    assert handler.get("port") in known | {None}, each["metadata"]["name"]


@pytest.mark.parametrize("values", [{"diagnosticMode": True}, {"components": {"dialogue": {"diagnosticMode": True}}}])
def test_diagnostic_mode_sleeps_and_is_not_probed(values: dict[str, object]) -> None:
    chart = render(values)
    container = chart.container("dialogue")
    assert container["command"][0] == "sleep"
    assert not [kind for kind in container if kind.endswith("Probe")]
    assert ("livenessProbe" in chart.container("login")) is ("components" in values)
