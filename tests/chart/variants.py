"""The sets of values with which every general rule about the chart's objects is checked."""

from typing import Any

import yaml

from tests.chart.chart import CHART, Rendered, every, render

__all__ = ["ADDONS", "COMPONENTS", "DOCUMENTED", "EXTERNAL", "HATCHES", "VARIANTS", "existing_secrets", "rendered"]

COMPONENTS = ("login", "dialogue", "intent", "business", "worker")

DOCUMENTED = sorted(
    str(each.relative_to(CHART)) for each in [*CHART.glob("values-*.yaml"), *CHART.glob("examples/*.yaml")]
)
"""Values files that ship with the chart, beside its defaults."""

EXTERNAL = {
    "redis": {"enabled": False},
    "postgresql": {"enabled": False},
    "consul": {"enabled": False},
    "externalRedis": {"url": "rediss://:secret@redis.example.com:6380/0"},
    "externalConsul": {"url": "http://consul.example.com:8501"},
    "networkPolicy": {"consulFrom": [{"ipBlock": {"cidr": "10.20.0.0/16"}}]},
    "externalPostgresql": {
        name: {"url": f"postgresql://{name}:secret@db.example.com:6432/{name}"}
        for name in ("login", "dialogue", "business")
    },
}

ADDONS = {
    "ingress": {
        "enabled": True,
        "className": "nginx",
        "hosts": ["chat.shop.example"],
        "tls": {"enabled": True, "secretName": "chat-tls"},
    },
    "httpRoute": {
        "enabled": True,
        "parentRefs": [{"name": "public", "namespace": "gateways", "sectionName": "https"}],
        "hostnames": ["chat.shop.example"],
    },
    "certificate": {"enabled": True, "issuerRef": {"name": "letsencrypt"}},
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
    "dashboards": {"enabled": True},
    "priorityClasses": {"create": True},
}

HATCHES: dict[str, Any] = {
    "env": {"ZHIYIN_LOG_LEVEL": "debug", "EXTRA_NUMBER": 7},
    "extraEnv": [{"name": "FROM_FIELD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
    "extraEnvFrom": [{"configMapRef": {"name": "mine", "optional": True}}],
    "extraVolumes": [{"name": "cache", "emptyDir": {}}],
    "extraVolumeMounts": [{"name": "cache", "mountPath": "/cache"}],
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "dedicated", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
    "topologySpreadConstraints": [
        {"maxSkew": 2, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}}
    ],
    "priorityClassName": "important",
    "runtimeClassName": "gvisor",
    "podAnnotations": {"example.com/team": "support"},
    "podLabels": {"team": "support"},
    "strategy": {"type": "Recreate"},
    "terminationGracePeriodSeconds": 99,
    "service": {"annotations": {"example.com/owner": "support"}},
    "serviceAccount": {"annotations": {"example.com/role": "chat"}},
}

AUTOSCALED = {"componentDefaults": {"autoscaling": {"enabled": True}}}
KEDA = {"components": {"worker": {"keda": {"enabled": True}}}}
GPU = {"components": {"intent": {"gpu": {"enabled": True}}}}
GPU_ONLY = {"components": {"intent": {"gpu": {"enabled": True, "keepCpuPool": False}}}}
LEARNING = {"learning": {"enabled": True, "gpu": {"enabled": True}}}

VALUES: dict[str, dict[str, Any]] = {
    "default": {},
    "kubernetes registry": {"registry": {"mode": "kubernetes"}},
    "external stores": EXTERNAL,
    "external stores in secrets": {
        **{name: {"enabled": False} for name in ("redis", "postgresql")},
        "externalRedis": {"existingSecret": "stores"},
        "externalPostgresql": {"existingSecret": "stores"},
    },
    "existing secret": {"secrets": {"existingSecret": "mine"}},
    "demo": {"environment": "development"},
    "demo shop": {"environment": "development", "shop": {"enabled": True}},
    "gpu": GPU,
    "gpu only": GPU_ONLY,
    "learning": LEARNING,
    "autoscaled": AUTOSCALED,
    "keda": KEDA,
    "add-ons": ADDONS,
    "no network policy": {"networkPolicy": {"enabled": False}},
    "no persistence": {name: {"persistence": {"enabled": False}} for name in ("redis", "postgresql", "consul")},
    "kept volumes": {name: {"persistence": {"keep": True}} for name in ("redis", "postgresql", "consul")},
    "no migrations": {"migrations": {"enabled": False}},
    "three of each": {"componentDefaults": {"replicas": 3}},
    "mirror": {"global": {"imageRegistry": "mirror.example.com:5000", "imagePullSecrets": ["pull"]}},
    "own names": {"fullnameOverride": "zhiyin", "nameOverride": "chat"},
    "diagnostic": {"diagnosticMode": True},
    "live reload": {"liveReload": True},
    "hatches": {"componentDefaults": HATCHES},
    "one component less": {"components": {"worker": {"enabled": False}}},
}

VARIANTS = [*VALUES, "upgrade", *DOCUMENTED]
"""Names of the sets: those above, an upgrade with the defaults, and each documented file."""


def existing_secrets(variant: str) -> set[str]:
    """Secrets that are there before the chart is, by the values of a set."""
    values = yaml.safe_load((CHART / variant).read_text()) if variant in DOCUMENTED else VALUES.get(variant, {})
    return {name for path, name in every(values) if path.endswith(".existingSecret") and name}


def rendered(variant: str) -> Rendered:
    """What one of the sets gives."""
    if variant in DOCUMENTED:
        return render(files=(variant,))
    return render(VALUES.get(variant, {}), upgrade=variant == "upgrade")
