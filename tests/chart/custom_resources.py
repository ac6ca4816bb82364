"""Models of the add-ons' objects that the chart makes, as strict as their own definitions: unknown fields are refused.

Prometheus operator (ServiceMonitor, PrometheusRule), KEDA (ScaledObject, TriggerAuthentication), Gateway API
(HTTPRoute), cert-manager (Certificate). Of each kind the fields that a chart may want.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

__all__ = ["MODELS"]

Duration = Annotated[str, Field(pattern=r"^(0|(\d+(ms|s|m|h|d|w|y))+)$")]
GatewayDuration = Annotated[str, Field(pattern=r"^([0-9]{1,5}(h|m|s|ms)){1,4}$")]
Port = Annotated[int, Field(ge=1, le=65535)]
Count = Annotated[int, Field(ge=0)]


class Strict(BaseModel):
    """Fields in camel case, none unknown, no type bent into another."""

    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel)


class Metadata(Strict):
    name: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]
    namespace: str
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class Resource(Strict):
    api_version: str
    kind: str
    metadata: Metadata


class LabelSelectorRequirement(Strict):
    key: str
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: list[str] = []


class LabelSelector(Strict):
    match_labels: dict[str, str] = {}
    match_expressions: list[LabelSelectorRequirement] = []


class Relabeling(Strict):
    source_labels: list[str] = []
    separator: str | None = None
    target_label: str | None = None
    regex: str | None = None
    replacement: str | None = None
    action: str | None = None


class Endpoint(Strict):
    port: str
    path: str = "/metrics"
    scheme: Literal["http", "https"] = "http"
    interval: Duration | None = None
    scrape_timeout: Duration | None = None
    honor_labels: bool = False
    relabelings: list[Relabeling] = []
    metric_relabelings: list[Relabeling] = []


class NamespaceSelector(Strict):
    any: bool = False
    match_names: list[str] = []


class MonitorSpec(Strict):
    job_label: str | None = None
    target_labels: list[str] = []
    pod_target_labels: list[str] = []
    selector: LabelSelector
    namespace_selector: NamespaceSelector = NamespaceSelector.model_construct()


class ServiceMonitorSpec(MonitorSpec):
    endpoints: Annotated[list[Endpoint], Field(min_length=1)]


class PodMonitorSpec(MonitorSpec):
    pod_metrics_endpoints: Annotated[list[Endpoint], Field(min_length=1)]


class ServiceMonitor(Resource):
    spec: ServiceMonitorSpec


class PodMonitor(Resource):
    spec: PodMonitorSpec


class Rule(Strict):
    alert: str | None = None
    record: str | None = None
    expr: str
    for_: Annotated[Duration | None, Field(alias="for")] = None
    keep_firing_for: Annotated[Duration | None, Field(alias="keep_firing_for")] = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}

    @model_validator(mode="after")
    def _either_or(self) -> "Rule":
        if (self.alert is None) == (self.record is None):
            raise ValueError("a rule is an alert or a recording")
        return self


class RuleGroup(Strict):
    name: str
    interval: Duration | None = None
    rules: Annotated[list[Rule], Field(min_length=1)]


class RuleSpec(Strict):
    groups: Annotated[list[RuleGroup], Field(min_length=1)]


class PrometheusRule(Resource):
    spec: RuleSpec


class ScaleTarget(Strict):
    api_version: str = "apps/v1"
    kind: str = "Deployment"
    name: str


class AuthenticationReference(Strict):
    name: str
    kind: Literal["TriggerAuthentication", "ClusterTriggerAuthentication"] = "TriggerAuthentication"


class Trigger(Strict):
    type: Literal["prometheus", "redis", "metrics-api", "cpu", "memory", "postgresql"]
    name: str | None = None
    metric_type: Literal["AverageValue", "Value", "Utilization"] | None = None
    metadata: dict[str, str]
    authentication_ref: AuthenticationReference | None = None
    use_cached_metrics: bool | None = None


class KedaHorizontal(Strict):
    name: str | None = None
    behavior: dict[str, Any] = {}


class ScalingModifiers(Strict):
    formula: str
    target: str
    activation_target: str | None = None
    metric_type: Literal["AverageValue", "Value"] = "AverageValue"


class KedaAdvanced(Strict):
    scaling_modifiers: ScalingModifiers | None = None
    restore_to_original_replica_count: bool | None = None
    horizontal_pod_autoscaler_config: KedaHorizontal | None = None


class Fallback(Strict):
    failure_threshold: Count
    replicas: Count


class ScaledObjectSpec(Strict):
    scale_target_ref: ScaleTarget
    polling_interval: Count | None = None
    cooldown_period: Count | None = None
    initial_cooldown_period: Count | None = None
    idle_replica_count: Count | None = None
    min_replica_count: Count | None = None
    max_replica_count: Count | None = None
    fallback: Fallback | None = None
    advanced: KedaAdvanced | None = None
    triggers: Annotated[list[Trigger], Field(min_length=1)]


class ScaledObject(Resource):
    spec: ScaledObjectSpec


class SecretTarget(Strict):
    parameter: str
    name: str
    key: str


class TriggerAuthenticationSpec(Strict):
    secret_target_ref: Annotated[list[SecretTarget], Field(min_length=1)]


class TriggerAuthentication(Resource):
    spec: TriggerAuthenticationSpec


class ParentReference(Strict):
    group: str = "gateway.networking.k8s.io"
    kind: str = "Gateway"
    name: str
    namespace: str | None = None
    section_name: str | None = None
    port: Port | None = None


class PathMatch(Strict):
    type: Literal["Exact", "PathPrefix", "RegularExpression"]
    value: Annotated[str, Field(pattern="^/")]


class HeaderMatch(Strict):
    type: Literal["Exact", "RegularExpression"] = "Exact"
    name: str
    value: str


class Match(Strict):
    path: PathMatch | None = None
    headers: list[HeaderMatch] = []
    method: str | None = None


class Backend(Strict):
    group: str = ""
    kind: str = "Service"
    name: str
    namespace: str | None = None
    port: Port
    weight: Count | None = None


class Timeouts(Strict):
    request: GatewayDuration | None = None
    backend_request: GatewayDuration | None = None


class RouteRule(Strict):
    name: str | None = None
    matches: list[Match] = []
    filters: list[dict[str, Any]] = []
    backend_refs: Annotated[list[Backend], Field(min_length=1)]
    timeouts: Timeouts | None = None


class RouteSpec(Strict):
    parent_refs: Annotated[list[ParentReference], Field(min_length=1)]
    hostnames: list[str] = []
    rules: Annotated[list[RouteRule], Field(min_length=1)]


class HTTPRoute(Resource):
    spec: RouteSpec


class Issuer(Strict):
    name: str
    kind: Literal["Issuer", "ClusterIssuer"] = "Issuer"
    group: str = "cert-manager.io"


class PrivateKey(Strict):
    algorithm: Literal["RSA", "ECDSA", "Ed25519"] | None = None
    size: int | None = None
    rotation_policy: Literal["Never", "Always"] | None = None


class CertificateSpec(Strict):
    secret_name: str
    dns_names: Annotated[list[str], Field(min_length=1)]
    issuer_ref: Issuer
    duration: str | None = None
    renew_before: str | None = None
    private_key: PrivateKey | None = None


class Certificate(Resource):
    spec: CertificateSpec


MODELS: dict[str, type[Resource]] = {
    "monitoring.coreos.com/v1 ServiceMonitor": ServiceMonitor,
    "monitoring.coreos.com/v1 PodMonitor": PodMonitor,
    "monitoring.coreos.com/v1 PrometheusRule": PrometheusRule,
    "keda.sh/v1alpha1 ScaledObject": ScaledObject,
    "keda.sh/v1alpha1 TriggerAuthentication": TriggerAuthentication,
    "gateway.networking.k8s.io/v1 HTTPRoute": HTTPRoute,
    "cert-manager.io/v1 Certificate": Certificate,
}
"""By API version and kind."""
