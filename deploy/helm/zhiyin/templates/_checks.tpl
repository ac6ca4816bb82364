{{/* What the schema cannot say: values that contradict each other. Each sentence says what to do. */}}
{{- define "zhiyin.problems" -}}
{{- $values := .Values -}}
{{- range $path, $labels := include "zhiyin.givenLabels" . | fromYaml }}
{{- range keys $labels | sortAlpha }}
{{- if or (has . (list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component")) (eq . "zhiyin.io/pool") }}
- "{{ $path }}: {{ . }} is a label by which pods are found, and is the chart's; leave it out."
{{- end }}
{{- end }}
{{- end }}
{{- if and $values.faults (eq $values.environment "production") }}
- "faults injects failures and is refused with environment: production; remove it."
{{- end }}
{{- if and (not $values.redis.enabled) (not $values.externalRedis.url) (not $values.externalRedis.existingSecret) }}
{{- range $component := without (include "zhiyin.redisUsers" . | fromYamlArray) "keda" }}
{{- if not (get $values.externalRedis $component).url }}
- "redis.enabled is false and {{ $component }} has no other; set externalRedis.url, externalRedis.{{ $component }}.url or externalRedis.existingSecret."
{{- end }}
{{- end }}
{{- end }}
{{- /* A pod whose Secret lacks a key waits for it without a word; where there is a cluster to ask, it is said here. */}}
{{- with $values.secrets.existingSecret }}
{{- $name := . }}
{{- with (lookup "v1" "Secret" $.Release.Namespace .).data }}
{{- $there := . }}
{{- range concat ($values.postgresql.enabled | ternary (values (include "zhiyin.rolePasswords" $ | fromYaml) | sortAlpha) list) ($values.redis.enabled | ternary (include "zhiyin.redisKeys" $ | fromYamlArray) list) ($values.shop.enabled | ternary (list "shop-key") list) }}
{{- if not (get $there .) }}
- "the Secret {{ $name }} of secrets.existingSecret has no key {{ . }}; add it."
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- if and (eq $values.registry.mode "consul") (not $values.consul.enabled) (not $values.externalConsul.url) }}
- "consul.enabled is false and there is no other; set externalConsul.url, or registry.mode: kubernetes."
{{- end }}
{{- if and $values.networkPolicy.enabled (eq $values.registry.mode "consul") (not $values.consul.enabled) (not $values.networkPolicy.consulFrom) }}
- "an external Consul checks the services' health on their port 8080; set networkPolicy.consulFrom to where its agents are, or registry.mode: kubernetes."
{{- end }}
{{- $outside := list }}
{{- range $route := list "ingress" "httpRoute" }}
{{- if (get $values $route).enabled }}
{{- $outside = append $outside (print $route ".enabled") }}
{{- end }}
{{- end }}
{{- range $component, $facts := include "zhiyin.facts" . | fromYaml }}
{{- $own := include "zhiyin.component" (dict "root" $ "name" $component) | fromYaml }}
{{- if and $own.enabled (ne $own.service.type "ClusterIP") }}
{{- $outside = append $outside (printf "components.%s.service.type" $component) }}
{{- if and $facts.public $values.networkPolicy.enabled (not $values.networkPolicy.ingressFrom) }}
- "components.{{ $component }}.service.type lets callers from outside of the cluster in, and networkPolicy.ingressFrom does not; set it to where they come from."
{{- end }}
{{- end }}
{{- end }}
{{- if and $outside (eq $values.environment "development") (not $values.demo.public) }}
- "{{ join ", " $outside }} would show the demo to strangers, each of whom is its customer; set environment: production, or demo.public: true if that is meant."
{{- end }}
{{- if and (not $values.postgresql.enabled) (not $values.externalPostgresql.existingSecret) }}
{{- range $database := include "zhiyin.databases" . | fromYamlArray }}
{{- if not (get $values.externalPostgresql $database).url }}
- "postgresql.enabled is false and {{ $database }} has no database; set externalPostgresql.{{ $database }}.url or externalPostgresql.existingSecret."
{{- end }}
{{- end }}
{{- end }}
{{- if and $values.ingress.tls.enabled (not $values.ingress.tls.secretName) (not $values.certificate.enabled) }}
- "ingress.tls.enabled needs a certificate; set ingress.tls.secretName, or certificate.enabled."
{{- end }}
{{- if and $values.certificate.enabled (not $values.certificate.issuerRef.name) }}
- "certificate.enabled needs an issuer; set certificate.issuerRef.name."
{{- end }}
{{- if and $values.httpRoute.enabled (not $values.httpRoute.parentRefs) }}
- "httpRoute.enabled needs a Gateway; set httpRoute.parentRefs."
{{- end }}
{{- $worker := include "zhiyin.component" (dict "root" . "name" "worker") | fromYaml }}
{{- if $worker.keda.enabled }}
{{- if $worker.autoscaling.enabled }}
- "components.worker: keda and autoscaling both own the number of pods; enable one of them."
{{- end }}
{{- if and (not $values.redis.enabled) (not $worker.keda.redisAddress) (not $values.externalRedis.url) (not $values.externalRedis.worker.url) }}
- "components.worker.keda needs the address of Redis, which is in a Secret; set components.worker.keda.redisAddress."
{{- end }}
{{- end }}
{{- end -}}

{{/* Labels that the values give, by the path of the value. */}}
{{- define "zhiyin.givenLabels" -}}
{{- $given := dict "commonLabels" .Values.commonLabels "componentDefaults.podLabels" .Values.componentDefaults.podLabels -}}
{{- range $name, $component := .Values.components -}}
{{- $_ := set $given (printf "components.%s.podLabels" $name) (($component | default dict).podLabels | default dict) -}}
{{- end -}}
{{- toYaml $given -}}
{{- end -}}

{{- define "zhiyin.check" -}}
{{- with include "zhiyin.problems" . | fromYamlArray -}}
{{- fail (printf "\n\nThe values cannot be used:\n- %s\n" (join "\n- " .)) -}}
{{- end -}}
{{- end -}}
