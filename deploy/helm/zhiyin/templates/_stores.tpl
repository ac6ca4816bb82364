{{/*
The stores that the chart brings, by name, and the demo shop's own system, which is kept like one. port; data: where the volume is; command, env, writable (more places that are
written to), ready and live (probes), stop (before SIGTERM), config (files) and configPath (where they are), secretKeys
(what it reads of the Secret at its start), passwords (files with keys of the Secret, at /run/passwords), beside (a
container beside it: name, image of which store or component, command, env, mounts, started, resources), grace (seconds), ours (its image is one of the
chart's own).
*/}}
{{- define "zhiyin.stores" -}}
{{- $secret := include "zhiyin.secretName" . -}}
{{- if .Values.redis.enabled }}
redis:
  port: 6379
  portName: redis
  data: /data
  grace: 30
  command: [sh, /etc/redis/start.sh]
  env:
    INSTALLATION: {value: {{ include "zhiyin.keysInstallation" . | quote }}}
    DATA: {value: /data}
    RUN: {value: /tmp}
    PASSWORD_FILES: {value: /run/passwords}
    REDISCLI_AUTH:
      {{- include "zhiyin.fromSecret" (dict "name" $secret "key" "redis-password") | nindent 6 }}
  ready: {exec: {command: [sh, -c, "redis-cli --user admin ping | grep -q PONG"]}}
  live: {tcpSocket: {port: 6379}}
  passwords:
    admin: redis-password
    {{- range include "zhiyin.redisUsers" . | fromYamlArray }}
    {{ . }}: redis-password-{{ . }}
    {{- end }}
  # They are read when it starts.
  secretKeys: {{ include "zhiyin.redisKeys" . | fromYamlArray | toJson }}
  configPath: /etc/redis
  config:
    start.sh: {{ .Files.Get "files/redis/start.sh" | toJson }}
    users.acl: {{ .Files.Get "files/redis/users.acl" | toJson }}
    redis.conf: {{ printf "%smaxmemory %s\n" (.Files.Get "files/redis/redis.conf") .Values.redis.maxMemory | toJson }}
{{- end }}
{{- if and .Values.consul.enabled (eq .Values.registry.mode "consul") }}
consul:
  port: 8500
  portName: http
  data: /consul/data
  grace: 20
  command: [sh, /etc/consul/start.sh]
  env:
    DATA: {value: /consul/data}
    RUN: {value: /tmp}
    MANAGEMENT_TOKEN:
      {{- include "zhiyin.fromSecret" (dict "name" $secret "key" "consul-management-token") | nindent 6 }}
  secretKeys: {{ concat (list "consul-management-token") (include "zhiyin.consulTokenKeys" . | fromYamlArray) | toJson }}
  # Beside it, and in Consul's own network: no other pod has the management token.
  beside:
    name: tokens
    image: login
    command: [python, -m, shared.calls.consul_acl]
    env:
      ZHIYIN_CONSUL_URL: {value: "http://127.0.0.1:8500"}
      ZHIYIN_INSTALLATION: {value: {{ include "zhiyin.installation" . | quote }}}
      ZHIYIN_LOG_LEVEL: {value: {{ .Values.logLevel | quote }}}
      ZHIYIN_CONSUL_MANAGEMENT_TOKEN:
        {{- include "zhiyin.fromSecret" (dict "name" $secret "key" "consul-management-token") | nindent 8 }}
      {{- range $component, $facts := include "zhiyin.facts" . | fromYaml }}
      ZHIYIN_CONSUL_TOKENS__{{ upper $component }}:
        {{- include "zhiyin.fromSecret" (dict "name" $secret "key" (print "consul-token-" $component)) | nindent 8 }}
      {{- end }}
    resources: {{ toJson .Values.consul.tokens.resources }}
  ready: {httpGet: {path: /v1/catalog/datacenters, port: 8500}}
  live: {tcpSocket: {port: 8500}}
  configPath: /etc/consul
  config:
    start.sh: {{ .Files.Get "files/consul/start.sh" | toJson }}
    # Its cluster is itself, so the address that it remembers is one that does not change with the pod.
    consul.json: {{ .Files.Get "files/consul/consul.json" | toJson }}
{{- end }}
{{- if .Values.shop.enabled }}
shop:
  port: 8080
  portName: http
  data: /data
  grace: 20
  ours: true
  command: [python, -m, examples.shop]
  env:
    SHOP_EMPTY: {value: {{ ne .Values.environment "development" | quote }}}
    SHOP_API_KEY:
      {{- include "zhiyin.fromSecret" (dict "name" $secret "key" "shop-key") | nindent 6 }}
  secretKeys: [shop-key]
  ready: {httpGet: {path: /health, port: http}}
  live: {httpGet: {path: /health, port: http}}
{{- end }}
{{- if .Values.postgresql.enabled }}
postgresql:
  port: 5432
  portName: postgresql
  data: /var/lib/postgresql
  grace: 60
  # As with Redis: two servers on one volume would destroy the data.
  command:
    - sh
    - -c
    - >-
      exec 9> /var/lib/postgresql/.lock; flock 9;
      exec docker-entrypoint.sh postgres -c max_connections={{ int64 .Values.postgresql.maxConnections }}
      -c unix_socket_directories=/var/run/postgresql
  env:
    PGDATA: {value: /var/lib/postgresql/pgdata}
    POSTGRES_USER: {value: zhiyin}
    POSTGRES_PASSWORD:
      {{- include "zhiyin.fromSecret" (dict "name" $secret "key" "postgresql-password") | nindent 6 }}
  # Beside it, by its socket, which no other pod has: the roles are there before the first service can connect.
  beside:
    name: roles
    image: postgresql
    command: [sh, /etc/postgresql-roles/roles.sh, keep]
    env:
      PGHOST: {value: /var/run/postgresql}
      PGUSER: {value: zhiyin}
      PASSWORD_FILES: {value: /run/passwords}
    mounts: [{name: config, mountPath: /etc/postgresql-roles, readOnly: true}, {name: passwords, mountPath: /run/passwords, readOnly: true}, {name: tmp, mountPath: /var/run/postgresql, subPath: writable-0}, {name: tmp, mountPath: /tmp, subPath: roles}]
    started: {exec: {command: [test, -e, /tmp/roles-made]}}
    resources: {{ toJson .Values.postgresql.roles.resources }}
  passwords: {{ include "zhiyin.rolePasswords" . | fromYaml | toJson }}
  config: {{ include "zhiyin.roleFiles" . | fromYaml | toJson }}
  # Asked to end by SIGTERM it waits for all of its clients and takes no new ones; this is its fast stop.
  stop: {exec: {command: [sh, -c, kill -INT 1]}}
  writable: [/var/run/postgresql]
  ready: {exec: {command: [pg_isready, -q, -h, 127.0.0.1, -U, zhiyin]}}
  live: {tcpSocket: {port: 5432}}
{{- end }}
{{- end -}}

{{/*
Whether migrations run before everything else: at an upgrade, unless the database is the chart's own and not running, as
after a failed install. Then they are installed together with it, because waiting for it would never end.
*/}}
{{- define "zhiyin.migrateBefore" -}}
{{- if .Release.IsUpgrade -}}
{{- $fullname := include "zhiyin.fullname" . -}}
{{- $installed := lookup "v1" "ConfigMap" .Release.Namespace (print $fullname "-config") -}}
{{- $database := lookup "apps/v1" "StatefulSet" .Release.Namespace (print $fullname "-postgresql") -}}
{{- if not (and $installed .Values.postgresql.enabled (not (dig "status" "readyReplicas" 0 $database))) -}}
true
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The services that have a role and a database of their own. */}}
{{- define "zhiyin.databases" -}}
{{- range $component, $facts := include "zhiyin.facts" . | fromYaml }}
{{- if eq ($facts.database | default "") $component }}
- {{ $component }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Files with PostgreSQL's passwords, and the keys of the Secret that they are of. */}}
{{- define "zhiyin.rolePasswords" -}}
superuser: postgresql-password
{{- range include "zhiyin.databases" . | fromYamlArray }}
{{ . }}: postgresql-password-{{ . }}
{{- end }}
{{- end -}}

{{/* What makes the roles. */}}
{{- define "zhiyin.roleFiles" -}}
{{- toYaml (dict "roles.sh" (.Files.Get "files/postgresql/roles.sh") "roles.sql" (.Files.Get "files/postgresql/roles.sql")) }}
{{- end -}}

{{/* Users of Redis besides its admin: the components that use it, and KEDA. */}}
{{- define "zhiyin.redisUsers" -}}
{{- range $component, $facts := include "zhiyin.facts" . | fromYaml }}
{{- if $facts.redis }}
- {{ $component }}
{{- end }}
{{- end }}
- keda
{{- end -}}

{{- define "zhiyin.redisKeys" -}}
- redis-password
{{- range include "zhiyin.redisUsers" . | fromYamlArray }}
- redis-password-{{ . }}
{{- end }}
{{- end -}}
