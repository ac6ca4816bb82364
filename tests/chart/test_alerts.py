"""Every alert on made-up courses of its metrics, by Prometheus' own tool: it fires, does not just below, and ends."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.chart import NAMESPACE, Object, render
from tests.chart.variants import COMPONENTS, rendered
from tests.kubernetes import TOOLS

RULES = rendered("add-ons").get("PrometheusRule", "")["spec"]["groups"]
ALERTS = sorted({rule["alert"] for group in RULES for rule in group["rules"]})
IN = f'namespace="{NAMESPACE}"'
MINUTES = 60
"""How long a course is; a sample every 30 seconds, as Prometheus scrapes by default."""


@dataclass(frozen=True)
class Course:
    """What is measured for an hour.

    bad, good: series with their values, in promtool's notation, with which the alert fires, or just does not.
    heals: values that follow the bad ones, after which it is silent again; for counters the same slope as `good`.
    """

    bad: dict[str, str]
    good: dict[str, str]
    heals: dict[str, str]


def counter(slope: float) -> str:
    """A counter that grows by so much each half minute."""
    return f"0+{slope}x120"


def series(name: str, **labels: str) -> str:
    pairs = [IN, *(f'{key}="{value}"' for key, value in labels.items())]
    return f"{name}{{{', '.join(pairs)}}}"


def constant(name: str, bad: float, good: float, **labels: str) -> Course:
    """A gauge that is bad for an hour, or good; or bad for half an hour and then good."""
    of = series(name, **labels)
    return Course(bad={of: f"{bad}x120"}, good={of: f"{good}x120"}, heals={of: f"{bad}x60 {good}x60"})


def counted(bad: dict[str, float], good: dict[str, float]) -> Course:
    """Counters with the slopes of the bad case and of the good one."""
    healed = {of: f"0+{slope}x60 {60 * slope + good.get(of, 0)}+{good.get(of, 0)}x59" for of, slope in bad.items()}
    return Course(
        bad={of: counter(slope) for of, slope in bad.items()},
        good={of: counter(slope) for of, slope in good.items()},
        heals=healed,
    )


def up(component: str, pod: str = "a") -> str:
    return series("up", endpoint="metrics", job=component, pod=pod)


def requests(status: str, route: str = "/v1/things", service: str = "business") -> str:
    return series("zhiyin_http_requests_total", service=service, method="GET", route=route, status=status)


def slow(le: str) -> str:
    route = "/v1/conversations/{conversation_id}/messages"
    return series("zhiyin_http_request_seconds_bucket", service="dialogue", method="POST", route=route, le=le)


def attempts(outcome: str) -> str:
    return series("zhiyin_login_attempts_total", outcome=outcome)


VOLUME = {"persistentvolumeclaim": "zhiyin-postgresql"}
CONNECTIONS, MOST_CONNECTIONS = (series(f"zhiyin_database_connections_{each}", pod="d") for each in ("used", "limit"))
FREE, SIZE = (series(f"kubelet_volume_stats_{each}_bytes", **VOLUME) for each in ("available", "capacity"))

COURSES = {
    "ZhiyinDown": constant("up", 0, 1, endpoint="metrics", job="login", pod="a"),
    "ZhiyinAbsent": Course(bad={up("login"): "0x120"}, good={up("login"): "1x120"}, heals={up("login"): "_x60 1x60"}),
    "ZhiyinVolumeFillsUp": Course(
        bad={FREE: "14x120", SIZE: "100x120"},
        good={FREE: "16x120", SIZE: "100x120"},
        heals={FREE: "14x60 50x60", SIZE: "100x120"},
    ),
    "ZhiyinErrors": counted(
        bad={requests("200"): 97, requests("500"): 3}, good={requests("200"): 99, requests("500"): 1}
    ),
    "ZhiyinSlowReplies": counted(
        bad={slow("1.0"): 0, slow("2.5"): 90, slow("5.0"): 100, slow("+Inf"): 100},
        good={slow("1.0"): 100, slow("2.5"): 100, slow("5.0"): 100, slow("+Inf"): 100},
    ),
    "ZhiyinTurnsRecovered": counted(
        bad={series("zhiyin_turns_recovered_total"): 1.2}, good={series("zhiyin_turns_recovered_total"): 0.8}
    ),
    "ZhiyinUnderstandingRefused": counted(
        bad={series("zhiyin_intent_refused_total", reason="full"): 3.5},
        good={series("zhiyin_intent_refused_total", reason="full"): 2.5},
    ),
    "ZhiyinWorkerStalled": Course(
        # Started again after 45 seconds, each time.
        bad={series("zhiyin_worker_beat_age_seconds", pod="w"): "0 30 15 " * 40},
        good={series("zhiyin_worker_beat_age_seconds", pod="w"): "1 8 3 24 2 9 " * 20},
        heals={series("zhiyin_worker_beat_age_seconds", pod="w"): "0 30 15 " * 20 + "1x60"},
    ),
    "ZhiyinWorkerRestarts": counted(
        bad={series("zhiyin_worker_restarts_total", pod="w"): 0.07},
        good={series("zhiyin_worker_restarts_total", pod="w"): 0.04},
    ),
    "ZhiyinDeadLetters": constant("zhiyin_business_dead_letters_waiting", 1, 0),
    "ZhiyinActionsStuck": counted(
        bad={series("zhiyin_business_actions_resent_total"): 0.2},
        good={series("zhiyin_business_actions_resent_total"): 0.1},
    ),
    "ZhiyinRulesOutdated": constant("zhiyin_business_rules_outdated", 1, 0, table="refund"),
    "ZhiyinDiscoveryStale": constant("zhiyin_discovery_list_age_seconds", 130, 119, target="intent"),
    "ZhiyinUnprovenInstances": constant("zhiyin_discovery_unproven", 1, 0, target="business"),
    "ZhiyinAccountsLocked": counted(
        bad={series("zhiyin_login_locks_total", who="staff", limit="pair"): 0.1},
        good={series("zhiyin_login_locks_total", who="customer", limit="pair"): 5},
    ),
    "ZhiyinHandoffsWait": constant("zhiyin_handoffs_oldest_seconds", 601, 600),
    "ZhiyinTurnsGivenUp": constant("zhiyin_dead_turns_waiting", 1, 0),
    "ZhiyinTimersGivenUp": constant("zhiyin_timers_dead", 1, 0),
    "ZhiyinOutboxLate": constant("zhiyin_outbox_oldest_seconds", 301, 299),
    "ZhiyinOutboxDeadLetters": constant("zhiyin_outbox_dead_letters_waiting", 1, 0),
    "ZhiyinQueueForged": counted(
        bad={series("zhiyin_queue_malformed_total", queue="actions"): 0.1},
        good={series("zhiyin_queue_malformed_total", queue="actions"): 0},
    ),
    "ZhiyinDatabaseConnectionsUsedUp": Course(
        bad={CONNECTIONS: "19x120", MOST_CONNECTIONS: "20x120"},
        good={CONNECTIONS: "18x120", MOST_CONNECTIONS: "20x120"},
        heals={CONNECTIONS: "19x60 3x60", MOST_CONNECTIONS: "20x120"},
    ),
    "ZhiyinLoginRefusals": counted(
        bad={attempts("wrong"): 60, attempts("success"): 10}, good={attempts("wrong"): 60, attempts("success"): 20}
    ),
}

SPECIAL = {
    "an error of a readiness probe is none of a customer": (
        "ZhiyinErrors",
        {requests("503", "/health/ready"): counter(50), requests("200"): counter(50)},
        0,
    ),
    "guesses before anybody ever logged in": ("ZhiyinLoginRefusals", {attempts("wrong"): counter(60)}, 1),
    "a few wrong passwords on a quiet day": ("ZhiyinLoginRefusals", {attempts("wrong"): counter(2)}, 0),
    "one of two pods is down": ("ZhiyinAbsent", {up("login", "a"): "0x120", up("login", "b"): "1x120"}, 0),
    "one pod of two is down": ("ZhiyinDown", {up("login", "a"): "0x120", up("login", "b"): "1x120"}, 1),
    "a component that no target was ever found for": ("ZhiyinAbsent", {}, 1),
    "a pool of a database without one": (
        "ZhiyinDatabaseConnectionsUsedUp",
        {CONNECTIONS: "0x120", MOST_CONNECTIONS: "0x120"},
        0,
    ),
    "an action that business has kept for long": (
        "ZhiyinOutboxLate",
        {series("zhiyin_business_oldest_action_seconds"): "400x120", series("zhiyin_outbox_oldest_seconds"): "0x120"},
        1,
    ),
    "another namespace": ("ZhiyinDeadLetters", {'zhiyin_business_dead_letters_waiting{namespace="b"}': "5x120"}, 0),
    "a worker that was started again once": (
        "ZhiyinWorkerStalled",
        {series("zhiyin_worker_beat_age_seconds", pod="w"): "1x20 15 30 45 1x90"},
        0,
    ),
}


@pytest.fixture(scope="module")
def promtool() -> Path:
    found = shutil.which("promtool")
    return Path(found) if found else TOOLS / "promtool"


def case(alert: str, course: dict[str, str], expected: dict[str, int]) -> Object:
    """A test of promtool's: whether the alert fires, by the time in minutes."""
    others = {up(each): "1x120" for each in COMPONENTS}
    given = (
        {**others, **course}
        if course or alert != "ZhiyinAbsent"
        else {k: v for k, v in others.items() if k != up("login")}
    )
    firing = f'count(ALERTS{{alertname="{alert}", alertstate="firing"}})'
    return {
        "interval": "30s",
        "input_series": [{"series": name, "values": " ".join(values.split())} for name, values in given.items()],
        "promql_expr_test": [
            {
                "expr": firing,
                "eval_time": when,
                "exp_samples": [{"labels": "{}", "value": count}] if count else [],
            }
            for when, count in expected.items()
        ],
    }


def run(promtool: Path, folder: Path, tests: list[Object]) -> None:
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": RULES}, allow_unicode=True), encoding="utf-8")
    file = folder / "tests.yaml"
    file.write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "evaluation_interval": "30s", "tests": tests}))
    done = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_its_course() -> None:
    assert sorted(COURSES) == ALERTS


def test_the_rules_are_read_by_prometheus(promtool: Path, tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": RULES}))
    done = subprocess.run([promtool, "check", "rules", file], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_fires_and_ends(promtool: Path, tmp_path: Path, alert: str) -> None:
    course = COURSES[alert]
    run(
        promtool,
        tmp_path,
        [
            case(alert, course.bad, {"0m": 0, "50m": 1}),
            case(alert, course.good, {"10m": 0, "50m": 0}),
            case(alert, course.heals, {"29m": 1, "59m": 0}),
        ],
    )


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_is_silent_while_nothing_happens(promtool: Path, tmp_path: Path, alert: str) -> None:
    """A new installation that measured nothing yet, and one whose counters stand still."""
    still = {of: f"{values.split('+')[0].split('x')[0]}x120" for of, values in COURSES[alert].good.items()}
    tests = [case(alert, {up("login"): "1x120"}, {"50m": 0})]
    if all("+" in values for values in COURSES[alert].good.values()):
        tests.append(case(alert, still, {"50m": 0}))
    run(promtool, tmp_path, tests)


@pytest.mark.parametrize("name", SPECIAL)
def test_what_is_easily_taken_for_something_else(promtool: Path, tmp_path: Path, name: str) -> None:
    alert, course, count = SPECIAL[name]
    run(promtool, tmp_path, [case(alert, course, {"50m": count})])


def test_a_component_that_is_switched_off_is_not_missed() -> None:
    values: dict[str, Any] = {"prometheusRule": {"enabled": True}, "components": {"worker": {"enabled": False}}}
    groups = render(values).get("PrometheusRule", "")["spec"]["groups"]
    missed = {
        rule["labels"]["component"] for group in groups for rule in group["rules"] if rule["alert"] == "ZhiyinAbsent"
    }
    assert missed == set(COMPONENTS) - {"worker"}
