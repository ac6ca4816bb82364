{{/*
The stores that the chart brings, by name. port; data: where the volume is; command, env, writable (more places that are
written to), ready and live (probes), stop (before SIGTERM), config (files) and where they are, secretKey (what it reads
of the Secret; secretKeys where that is more), tokens (a container beside it), grace (seconds).
*/}}
{{- define "zhiyin.stores" -}}
{{- $secret := include "zhiyin.secretName" . -}}
{{- if .Values.redis.enabled }}
redis:
  port: 6379
  portName: redis
  data: /data
  grace: 30
  secretKey: redis-password
  # A pod that was deleted by force may still run when the next one starts, so the process locks its volume.
  # The password goes into a file, because arguments are visible to every user who can list processes.
  command:
    - sh
    - -c
    - >-
      umask 077; exec 9> /data/.lock; flock 9;
      printf 'requirepass %s\n' "$REDISCLI_AUTH" > /tmp/password.conf; exec redis-server /etc/redis/redis.conf
  env:
    REDISCLI_AUTH:
      {{- include "zhiyin.fromSecret" (dict "name" $secret "key" "redis-password") | nindent 6 }}
  ready: {exec: {command: [sh, -c, "redis-cli ping | grep -q PONG"]}}
  live: {tcpSocket: {port: 6379}}
  configPath: /etc/redis
  config:
    redis.conf: |
      include /tmp/password.conf
      dir /data
      # Every write is logged, and nothing is ever thrown out to make room: actions on their way are in here.
      appendonly yes
      appendfsync everysec
      save ""
      maxmemory {{ .Values.redis.maxMemory }}
      maxmemory-policy noeviction
{{- end }}
{{- if and .Values.consul.enabled (eq .Values.registry.mode "consul") }}
consul:
  port: 8500
  portName: http
  data: /consul/data
  grace: 20
  # Its cluster is itself, so the address that it remembers must not change with the pod. `master` is what every version
  # calls its initial management token.
  command:
    - sh
    - -c
    - >-
      umask 077; printf '{"acl": {"tokens": {"master": "%s"}}}' "$MANAGEMENT_TOKEN" > /tmp/tokens.json;
      exec consul agent -config-dir=/etc/consul -config-file=/tmp/tokens.json -data-dir=/consul/data
  env:
    MANAGEMENT_TOKEN:
      {{- include "zhiyin.fromSecret" (dict "name" $secret "key" "consul-management-token") | nindent 6 }}
  secretKeys: {{ concat (list "consul-management-token") (include "zhiyin.consulTokenKeys" . | fromYamlArray) | toJson }}
  # Beside it, and in Consul's own network: no other pod has the management token.
  tokens:
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
  ready: {httpGet: {path: /v1/catalog/datacenters, port: 8500}}
  live: {tcpSocket: {port: 8500}}
  configPath: /etc/consul
  config:
    consul.json: |
      {
        "server": true,
        "bootstrap_expect": 1,
        "node_name": "zhiyin",
        "disable_host_node_id": true,
        "bind_addr": "127.0.0.1",
        "client_addr": "0.0.0.0",
        "ports": {"dns": -1, "grpc": -1, "serf_wan": -1},
        "disable_update_check": true,
        "leave_on_terminate": false,
        "acl": {"enabled": true, "default_policy": "deny", "down_policy": "extend-cache"},
        "performance": {"raft_multiplier": 1},
        "telemetry": {"disable_hostname": true}
      }
{{- end }}
{{- if .Values.postgresql.enabled }}
postgresql:
  port: 5432
  portName: postgresql
  data: /var/lib/postgresql
  grace: 60
  secretKey: postgresql-password
  # As above: two servers on one volume would destroy the data.
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
