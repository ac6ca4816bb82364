{{/*
Which component calls which, as a list of from, to and port: services call services, all register with Consul, Consul
(also an external one) checks their health, and each uses its stores. `peers` stands for what is outside of the chart.
*/}}
{{- define "zhiyin.edges" -}}
{{- $values := .Values -}}
{{- $running := include "zhiyin.running" . | fromYaml -}}
{{- $consul := eq $values.registry.mode "consul" -}}
{{- $edges := list -}}
{{- range $component, $facts := $running -}}
{{- range $facts.calls -}}
{{- if hasKey $running . -}}
{{- $edges = append $edges (dict "from" $component "to" . "port" 8080) -}}
{{- end -}}
{{- end -}}
{{- if and $values.shop.enabled (eq ($facts.database | default "") "business") -}}
{{- $edges = append $edges (dict "from" $component "to" "shop" "port" 8080) -}}
{{- end -}}
{{- if $facts.redis -}}
{{- $edges = append $edges (include "zhiyin.storeEdge" (dict "root" $ "from" $component "to" "redis" "url" ((get $values.externalRedis $component).url | default $values.externalRedis.url)) | fromYaml) -}}
{{- end -}}
{{- with $facts.database -}}
{{- $url := (get $values.externalPostgresql .).url -}}
{{- $edges = append $edges (include "zhiyin.storeEdge" (dict "root" $ "from" $component "to" "postgresql" "url" $url) | fromYaml) -}}
{{- end -}}
{{- if $consul -}}
{{- $edges = append $edges (include "zhiyin.storeEdge" (dict "root" $ "from" $component "to" "consul" "url" $values.externalConsul.url) | fromYaml) -}}
{{- if $values.consul.enabled -}}
{{- $edges = append $edges (dict "from" "consul" "to" $component "port" 8080) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if include "zhiyin.mlflowEnv" . -}}
{{- $port := $values.networkPolicy.externalPorts.mlflow -}}
{{- with $values.externalMlflow.url -}}
{{- $url := urlParse . -}}
{{- $port = regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default (ternary "443" "80" (eq $url.scheme "https")) -}}
{{- end -}}
{{- range $component, $facts := $running -}}
{{- if $facts.models -}}
{{- $edges = append $edges (dict "from" $component "to" "mlflow" "port" (int $port) "peers" ($values.networkPolicy.externalTo | default (include "zhiyin.anywhere" $ | fromYamlArray))) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if $values.migrations.enabled -}}
{{- $edges = append $edges (include "zhiyin.storeEdge" (dict "root" $ "from" "migrations" "to" "postgresql" "url" $values.externalPostgresql.login.url) | fromYaml) -}}
{{- end -}}
{{- if hasKey $running "dialogue" -}}
{{- $edges = append $edges (dict "from" "tests" "to" "dialogue" "port" 8080) -}}
{{- end -}}
{{- toYaml $edges -}}
{{- end -}}

{{/* An edge to a store, which is in the chart or outside: root, from, to, url. */}}
{{- define "zhiyin.storeEdge" -}}
{{- $port := get (dict "redis" 6379 "postgresql" 5432 "consul" 8500) .to -}}
{{- if (get .root.Values .to).enabled -}}
{{- toYaml (dict "from" .from "to" .to "port" $port) -}}
{{- else -}}
{{- $given := (urlParse (.url | default "")).host | default "" -}}
{{- $port = get .root.Values.networkPolicy.externalPorts .to -}}
{{- if .url -}}
{{- $port = regexFind ":[0-9]+$" $given | trimPrefix ":" | default $port -}}
{{- end -}}
{{- toYaml (dict "from" .from "to" .to "port" (int $port) "peers" (.root.Values.networkPolicy.externalTo | default (include "zhiyin.anywhere" .root | fromYamlArray))) -}}
{{- end -}}
{{- end -}}

{{/* The same by target: for each a list of port and from (its callers), or peers (a choice of the values). */}}
{{- define "zhiyin.entries" -}}
{{- $policy := .Values.networkPolicy -}}
{{- $callers := dict -}}
{{- range include "zhiyin.edges" . | fromYamlArray -}}
{{- if not .peers -}}
{{- $known := get $callers .to | default (dict "port" .port "from" list) -}}
{{- $_ := set $callers .to (dict "port" .port "from" (append $known.from .from)) -}}
{{- end -}}
{{- end -}}
{{- $entries := dict -}}
{{- range $target, $entry := $callers -}}
{{- $_ := set $entries $target (list $entry) -}}
{{- end -}}
{{- $inCluster := list (dict "namespaceSelector" dict) -}}
{{- range $component, $facts := include "zhiyin.running" . | fromYaml -}}
{{- $list := get $entries $component | default list -}}
{{- if $facts.public -}}
{{- $list = append $list (dict "port" 8080 "peers" ($policy.ingressFrom | default $inCluster)) -}}
{{- end -}}
{{- if and (eq $.Values.registry.mode "consul") (not $.Values.consul.enabled) -}}
{{- $list = append $list (dict "port" 8080 "peers" $policy.consulFrom) -}}
{{- end -}}
{{- $list = append $list (dict "port" 9090 "peers" ($policy.metricsFrom | default $inCluster)) -}}
{{- $_ := set $entries $component $list -}}
{{- end -}}
{{- if and .Values.redis.enabled .Values.components.worker.keda.enabled -}}
{{- $_ := set $entries "redis" (append $entries.redis (dict "port" 6379 "peers" $policy.kedaFrom)) -}}
{{- end -}}
{{- toYaml $entries -}}
{{- end -}}

{{- define "zhiyin.anywhere" -}}
- ipBlock: {cidr: 0.0.0.0/0}
- ipBlock: {cidr: "::/0"}
{{- end -}}
