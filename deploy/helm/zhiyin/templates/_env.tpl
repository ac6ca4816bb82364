{{/* Where the stores are, and the variables that say so. */}}

{{/* Secret of our own with the addresses of external stores that were given as values. */}}
{{- define "zhiyin.addressesName" -}}
{{- printf "%s-addresses" (include "zhiyin.fullname" .) -}}
{{- end -}}

{{/* Those addresses by key. */}}
{{- define "zhiyin.addresses" -}}
{{- $addresses := dict -}}
{{- if and (not .Values.redis.enabled) (not .Values.externalRedis.existingSecret) -}}
{{- with .Values.externalRedis.url -}}
{{- $_ := set $addresses "redis-url" . -}}
{{- end -}}
{{- range $component := without (include "zhiyin.redisUsers" . | fromYamlArray) "keda" -}}
{{- with (get $.Values.externalRedis $component).url -}}
{{- $_ := set $addresses (print "redis-url-" $component) . -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and (not .Values.postgresql.enabled) (not .Values.externalPostgresql.existingSecret) -}}
{{- range $database := include "zhiyin.databases" . | fromYamlArray -}}
{{- with (get $.Values.externalPostgresql $database).url -}}
{{- $_ := set $addresses (print $database "-url") . -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $addresses -}}
{{- end -}}

{{- define "zhiyin.fromSecret" -}}
valueFrom:
  secretKeyRef:
    name: {{ .name }}
    key: {{ .key }}
{{- end -}}

{{/* Variables for a database: root, database, addresses (the Secret of those that were given), secret (with passwords). */}}
{{- define "zhiyin.databaseEnv" -}}
{{- $values := .root.Values -}}
{{- if $values.postgresql.enabled }}
POSTGRESQL_PASSWORD:
  {{- include "zhiyin.fromSecret" (dict "name" .secret "key" (print "postgresql-password-" .database)) | nindent 2 }}
ZHIYIN_DATABASE_URL:
  value: postgresql+asyncpg://{{ .database }}:$(POSTGRESQL_PASSWORD)@{{ include "zhiyin.fullname" .root }}-postgresql:5432/{{ .database }}
{{- else }}
ZHIYIN_DATABASE_URL:
  {{- $name := $values.externalPostgresql.existingSecret | default .addresses }}
  {{- include "zhiyin.fromSecret" (dict "name" $name "key" (print .database "-url")) | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The variable for Redis: root, component. */}}
{{- define "zhiyin.redisEnv" -}}
{{- $values := .root.Values -}}
{{- if $values.redis.enabled }}
REDIS_PASSWORD:
  {{- include "zhiyin.fromSecret" (dict "name" (include "zhiyin.secretName" .root) "key" (print "redis-password-" .component)) | nindent 2 }}
ZHIYIN_REDIS_URL:
  value: redis://{{ .component }}:$(REDIS_PASSWORD)@{{ include "zhiyin.fullname" .root }}-redis:6379/0
{{- else }}
ZHIYIN_REDIS_URL:
  {{- $own := get $values.externalRedis .component }}
  {{- if $values.externalRedis.existingSecret }}
  {{- include "zhiyin.fromSecret" (dict "name" $values.externalRedis.existingSecret "key" ($own.existingSecretKey | default $values.externalRedis.existingSecretKey)) | nindent 2 }}
  {{- else }}
  {{- include "zhiyin.fromSecret" (dict "name" (include "zhiyin.addressesName" .root) "key" (empty $own.url | ternary "redis-url" (print "redis-url-" .component))) | nindent 2 }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* The variable for MLflow's model registry, where one is used. */}}
{{- define "zhiyin.mlflowEnv" -}}
{{- with .Values.externalMlflow -}}
{{- if .existingSecret -}}
ZHIYIN_MLFLOW_URI:
  {{- include "zhiyin.fromSecret" (dict "name" .existingSecret "key" .existingSecretKey) | nindent 2 }}
{{- else if .url -}}
ZHIYIN_MLFLOW_URI: {value: {{ .url | quote }}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Where the demo shop is, for the demo assistant's connector; Services have addresses of any private network. */}}
{{- define "zhiyin.shopConnector" -}}
{{- $networks := list "10.0.0.0/8" "172.16.0.0/12" "192.168.0.0/16" "100.64.0.0/10" "fc00::/7" -}}
{{- dict "shop.shop" (dict "url" (printf "http://%s-shop:8080" (include "zhiyin.fullname" .)) "networks" $networks) | toJson -}}
{{- end -}}

{{/* Variables that are the same for every component. */}}
{{- define "zhiyin.config" -}}
{{- $config := include "zhiyin.ownConfig" . | fromYaml -}}
{{- range $name, $value := .Values.config -}}
{{- $_ := set $config $name (include "zhiyin.text" $value) -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{/* Those of them that the chart sets; `config` wins over them. */}}
{{- define "zhiyin.ownConfig" -}}
{{- $fullname := include "zhiyin.fullname" . -}}
ZHIYIN_ENVIRONMENT: {{ .Values.environment | quote }}
{{- if eq .Values.environment "development" }}
ZHIYIN_DEMO: "true"
# Pods listen for others by nature; who gets as far as this one is checked by the chart.
ZHIYIN_DEMO_PUBLIC: "true"
{{- end }}
ZHIYIN_INSTALLATION: {{ include "zhiyin.installation" . | quote }}
ZHIYIN_LOGIN_URL: {{ printf "http://%s-login:80" $fullname | quote }}
ZHIYIN_LOG_LEVEL: {{ .Values.logLevel | quote }}
ZHIYIN_HOST: "0.0.0.0"
ZHIYIN_PORT: "8080"
ZHIYIN_METRICS_PORT: "9090"
ZHIYIN_REGISTRY: {{ .Values.registry.mode | quote }}
{{- if eq .Values.registry.mode "consul" }}
ZHIYIN_CONSUL_URL: {{ .Values.consul.enabled | ternary (printf "http://%s-consul:8500" $fullname) .Values.externalConsul.url | quote }}
{{- end }}
ZHIYIN_KUBERNETES_SERVICE: {{ printf "http://%s-{name}:80" $fullname | quote }}
ZHIYIN_MIGRATE_ON_START: {{ not .Values.migrations.enabled | quote }}
{{- with .Values.faults }}
ZHIYIN_FAULTS: {{ toJson . | quote }}
{{- end }}
{{- end -}}

{{/* Variables of a workload by name: root, name, component, facts, values. */}}
{{- define "zhiyin.componentEnv" -}}
{{- $values := .values -}}
PYTHONUNBUFFERED: {value: "1"}
ZHIYIN_ADVERTISE_HOST: {valueFrom: {fieldRef: {fieldPath: status.podIP}}}
ZHIYIN_INSTANCE: {valueFrom: {fieldRef: {fieldPath: metadata.uid}}}
# Newer clusters give a pod its node's zone as a label; elsewhere this is empty.
ZHIYIN_ZONE: {valueFrom: {fieldRef: {fieldPath: "metadata.labels['topology.kubernetes.io/zone']"}}}
ZHIYIN_DRAIN_SECONDS: {value: {{ include "zhiyin.text" $values.drainSeconds | quote }}}
{{- if .facts.celery }}
ZHIYIN_CONCURRENCY: {value: {{ include "zhiyin.text" $values.concurrency | quote }}}
ZHIYIN_STOP_SECONDS: {value: "5"}
ZHIYIN_WARM_STOP_SECONDS: {value: {{ include "zhiyin.text" $values.workSeconds | quote }}}
{{- else }}
ZHIYIN_STOP_SECONDS: {value: {{ include "zhiyin.text" $values.workSeconds | quote }}}
{{- end }}
{{- if not .facts.models }}
ZHIYIN_HOME: {value: /tmp/zhiyin}
{{- else }}
{{- with include "zhiyin.mlflowEnv" .root }}
# The image's own home cannot be written to.
ZHIYIN_HOME: {value: /var/lib/zhiyin}
{{ . }}
{{- end }}
{{- end }}
{{- if .facts.threads }}
OMP_NUM_THREADS: {valueFrom: {resourceFieldRef: {containerName: {{ .component }}, resource: requests.cpu, divisor: "1"}}}
{{- if eq .pool "cpu" }}
ZHIYIN_INFERENCE_STREAMS: {valueFrom: {resourceFieldRef: {containerName: {{ .component }}, resource: requests.cpu, divisor: "1"}}}
{{- end }}
{{- end }}
{{- $retention := .root.Values.retention | default dict }}
{{- if and .facts.public $retention.conversationDays }}
ZHIYIN_CONVERSATION_DAYS: {value: {{ include "zhiyin.text" $retention.conversationDays | quote }}}
{{- end }}
{{- if and (eq (.facts.database | default "") "business") $retention.actionDays }}
ZHIYIN_ACTION_DAYS: {value: {{ include "zhiyin.text" $retention.actionDays | quote }}}
{{- end }}
{{- if and .root.Values.shop.enabled (eq (.facts.database | default "") "business") }}
ZHIYIN_CONNECTORS: {value: {{ include "zhiyin.shopConnector" .root | quote }}}
ZHIYIN_SECRET_DEFAULT_SHOP_SHOP:
  {{- include "zhiyin.fromSecret" (dict "name" (include "zhiyin.secretName" .root) "key" "shop-key") | nindent 2 }}
{{- end }}
{{- if .facts.public }}
ZHIYIN_ASSISTANT: {value: /app/assistants/shop}
{{- if and .root.Values.ingress.enabled (ne .root.Values.ingress.path "/") }}
ZHIYIN_ROOT_PATH: {value: {{ .root.Values.ingress.path }}}
{{- end }}
ZHIYIN_TRUSTED_PROXIES: {value: {{ toJson .root.Values.trustedProxies | quote }}}
{{- end }}
{{- if .facts.bootstrap }}
ZHIYIN_BOOTSTRAP_FILE: {value: /etc/zhiyin/bootstrap/bootstrap.json}
ZHIYIN_LOGIN_SECRET:
  {{- include "zhiyin.fromSecret" (dict "name" (include "zhiyin.secretName" .root) "key" "login-secret") | nindent 2 }}
# There while the other one is new.
ZHIYIN_LOGIN_SECRET_ACCEPTED: {valueFrom: {secretKeyRef: {name: {{ include "zhiyin.secretName" .root }}, key: login-secret-accepted, optional: true}}}
{{- end }}
{{- with .facts.client }}
ZHIYIN_CLIENT_ID: {value: {{ . }}}
ZHIYIN_CLIENT_SECRET:
  {{- include "zhiyin.fromSecret" (dict "name" (include "zhiyin.secretName" $.root) "key" (print "client-secret-" .)) | nindent 2 }}
{{- end }}
{{- if eq .root.Values.registry.mode "consul" }}
{{- with .root.Values.consul.enabled | ternary (include "zhiyin.secretName" .root) .root.Values.externalConsul.existingSecret }}
ZHIYIN_CONSUL_TOKEN:
  {{- include "zhiyin.fromSecret" (dict "name" . "key" (print "consul-token-" $.component)) | nindent 2 }}
{{- end }}
{{- end }}
{{- with .facts.database }}
ZHIYIN_DATABASE_WAIT_SECONDS: {value: {{ include "zhiyin.text" $values.startupSeconds | quote }}}
{{- include "zhiyin.databaseEnv" (dict "root" $.root "database" . "addresses" (include "zhiyin.addressesName" $.root) "secret" (include "zhiyin.secretName" $.root)) }}
{{- end }}
{{- if .facts.redis }}
{{- include "zhiyin.redisEnv" (dict "root" .root "component" .component) }}
{{- end }}
{{- end -}}

{{/* Variables by name, with those of `env` over them and those of `extraEnv` over all, as Kubernetes' list. */}}
{{- define "zhiyin.env" -}}
{{- $variables := .variables -}}
{{- range $name, $value := .env -}}
{{- $_ := set $variables $name (dict "value" (include "zhiyin.text" $value)) -}}
{{- end -}}
{{- range .extraEnv -}}
{{- $variables = omit $variables .name -}}
{{- end -}}
{{- range $name, $variable := $variables }}
- name: {{ $name }}
  {{- toYaml $variable | nindent 2 }}
{{- end }}
{{- with .extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}
