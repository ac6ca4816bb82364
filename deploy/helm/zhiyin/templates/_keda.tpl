{{/* The Redis that KEDA looks at, which takes no URL: address, database, tls, username, secret (name and key). Takes root and keda. */}}
{{- define "zhiyin.kedaRedis" -}}
{{- $values := .root.Values -}}
{{- if $values.redis.enabled -}}
{{- $secret := dict "name" (include "zhiyin.secretName" .root) "key" "redis-password-keda" -}}
{{- toYaml (dict "username" "keda" "address" (printf "%s-redis.%s.svc:6379" (include "zhiyin.fullname" .root) .root.Release.Namespace) "database" "0" "tls" "false" "secret" $secret) -}}
{{- else -}}
{{- $url := urlParse ($values.externalRedis.worker.url | default $values.externalRedis.url | default "redis:///0") -}}
{{- $host := .keda.redisAddress | default $url.host -}}
{{- if and $host (not (regexMatch ":[0-9]+$" $host)) -}}
{{- $host = print $host ":6379" -}}
{{- end -}}
{{- $database := trimPrefix "/" $url.path | default "0" -}}
{{- $tls := eq $url.scheme "rediss" | ternary "true" "false" -}}
{{- $redis := dict "username" .keda.redisUsername "address" $host "database" $database "tls" $tls -}}
{{- if .keda.redisPasswordSecret.name -}}
{{- $_ := set $redis "secret" .keda.redisPasswordSecret -}}
{{- end -}}
{{- toYaml $redis -}}
{{- end -}}
{{- end -}}

{{/* The list in Redis that a queue is. Takes root and queue. */}}
{{- define "zhiyin.queueKey" -}}
{{- printf "%s:queue:%s" (include "zhiyin.keysInstallation" .root) .queue -}}
{{- end -}}

{{/* What keys in Redis begin with; `config` wins over the chart. */}}
{{- define "zhiyin.keysInstallation" -}}
{{- .Values.config.ZHIYIN_INSTALLATION | default (include "zhiyin.installation" .) -}}
{{- end -}}
