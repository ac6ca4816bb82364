{{/* The components. What a component needs is a fact and is listed here; what can be chosen is in the values. */}}

{{/*
calls: services that it really calls, by name. redis, database: the stores that it really uses.
client: its name when it asks login for a token, or to vouch for what it registers. bootstrap: it makes the first
accounts. threads: it computes.
*/}}
{{- define "zhiyin.facts" -}}
login: {calls: [], redis: true, database: login, bootstrap: true}
dialogue: {calls: [login, intent, business], redis: true, database: dialogue, client: dialogue, public: true}
intent: {calls: [login], client: intent, threads: true, models: true}
business: {calls: [login], redis: true, database: business, client: business}
worker: {calls: [{{ if eq .Values.registry.mode "consul" }}login{{ end }}], redis: true, database: business, client: worker, celery: true}
{{- end -}}

{{/* A component's values: its own over the defaults. Takes root and name. */}}
{{- define "zhiyin.component" -}}
{{- $own := get .root.Values.components .name | default dict -}}
{{- toYaml (mergeOverwrite (deepCopy .root.Values.componentDefaults) (deepCopy $own)) -}}
{{- end -}}

{{/*
Every workload that runs, as a list under `workloads`: name (of its objects), component (which registers), pool, facts,
values. It is a component, and once more one for its pool of GPUs.
*/}}
{{- define "zhiyin.workloads" -}}
{{- $root := . -}}
{{- $list := list -}}
{{- range $name, $facts := include "zhiyin.facts" . | fromYaml -}}
{{- $values := include "zhiyin.component" (dict "root" $root "name" $name) | fromYaml -}}
{{- if $values.enabled -}}
{{- $gpu := $values.gpu | default dict -}}
{{- if or (not $gpu.enabled) $gpu.keepCpuPool -}}
{{- $list = append $list (dict "name" $name "component" $name "pool" "cpu" "facts" $facts "values" $values) -}}
{{- end -}}
{{- if $gpu.enabled -}}
{{- $own := omit $gpu "enabled" "keepCpuPool" "resourceName" "count" -}}
{{- $pool := mergeOverwrite (deepCopy $values) (deepCopy $own) (dict "autoscaling" (dict "enabled" false)) -}}
{{- $_ := set $pool "resources" (include "zhiyin.gpuResources" $gpu | fromYaml) -}}
{{- $_ := set $pool "tolerations" (concat $values.tolerations $gpu.tolerations) -}}
{{- $list = append $list (dict "name" (print $name "-gpu") "component" $name "pool" "gpu" "facts" $facts "values" $pool) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml (dict "workloads" $list) -}}
{{- end -}}

{{/* Components that run, in any pool, by name, with their facts. */}}
{{- define "zhiyin.running" -}}
{{- $running := dict -}}
{{- range (include "zhiyin.workloads" . | fromYaml).workloads -}}
{{- $_ := set $running .component .facts -}}
{{- end -}}
{{- toYaml $running -}}
{{- end -}}

{{/* Resources with GPUs: resources, resourceName, count. */}}
{{- define "zhiyin.gpuResources" -}}
{{- $gpus := dict .resourceName (include "zhiyin.text" .count) -}}
{{- toYaml (mergeOverwrite (deepCopy .resources) (dict "limits" (deepCopy $gpus) "requests" (deepCopy $gpus))) -}}
{{- end -}}

{{/* What owns the number of a workload's pods: nothing, hpa or keda. */}}
{{- define "zhiyin.scaler" -}}
{{- if (.values.keda | default dict).enabled -}}keda
{{- else if .values.autoscaling.enabled -}}hpa
{{- end -}}
{{- end -}}

{{/* The fewest pods that a workload has. */}}
{{- define "zhiyin.fewest" -}}
{{- $scaler := include "zhiyin.scaler" . -}}
{{- if eq $scaler "keda" -}}{{ int64 .values.keda.minReplicas }}
{{- else if eq $scaler "hpa" -}}{{ int64 .values.autoscaling.minReplicas }}
{{- else -}}{{ int64 .values.replicas }}
{{- end -}}
{{- end -}}

{{- define "zhiyin.serviceAccountName" -}}
{{- $own := printf "%s-%s" (include "zhiyin.fullname" .root) .component -}}
{{- if .values.serviceAccount.create -}}
{{- .values.serviceAccount.name | default $own -}}
{{- else -}}
{{- .values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{/* PriorityClass: root, given, class (serving or background). */}}
{{- define "zhiyin.priorityClass" -}}
{{- if .given }}
priorityClassName: {{ .given }}
{{- else if .root.Values.priorityClasses.create }}
priorityClassName: {{ include "zhiyin.priorityClassName" . }}
{{- end }}
{{- end -}}

{{/* PriorityClasses belong to no namespace, and two releases may have one name: root, class. */}}
{{- define "zhiyin.priorityClassName" -}}
{{- printf "%s-%s-%s" .root.Release.Namespace (include "zhiyin.fullname" .root) .class -}}
{{- end -}}
