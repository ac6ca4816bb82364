{{/* Secrets: made once, kept over upgrades, and never the same twice. */}}

{{- define "zhiyin.secretName" -}}
{{- .Values.secrets.existingSecret | default (printf "%s-secrets" (include "zhiyin.fullname" .)) -}}
{{- end -}}

{{/*
The keys of the Secret with their values in base64, as YAML. Values of the Secret in the cluster are reused, so an
upgrade changes nothing; without a cluster all are new. Templates are rendered one by one and random values would differ
between them, so the generated ones are kept in the values.
*/}}
{{- define "zhiyin.secretData" -}}
{{- if not (hasKey .Values "_secretData") -}}
{{- $there := (lookup "v1" "Secret" .Release.Namespace (include "zhiyin.secretName" .)).data | default dict -}}
{{- $data := deepCopy $there -}}
{{- if not .Values.secrets.existingSecret -}}
{{- $passwords := concat (values (include "zhiyin.rolePasswords" . | fromYaml)) (include "zhiyin.redisKeys" . | fromYamlArray) -}}
{{- range concat (list "login-secret" "client-secret-dialogue" "client-secret-intent" "client-secret-business" "client-secret-worker" "client-secret-learning") (.Values.shop.enabled | ternary (list "shop-key") list) $passwords -}}
{{- if not (get $data .) -}}
{{- $_ := set $data . (randAlphaNum 43 | b64enc) -}}
{{- end -}}
{{- end -}}
{{- range $name := concat (list "consul-management-token") (include "zhiyin.consulTokenKeys" $ | fromYamlArray) -}}
{{- if not (get $data $name) -}}
{{- $_ := set $data $name (uuidv4 | b64enc) -}}
{{- end -}}
{{- end -}}
{{- $bootstrap := include "zhiyin.bootstrap" (dict "root" . "data" $data) -}}
{{- $_ := set $data "bootstrap.json" ($bootstrap | b64enc) -}}
{{- range ($bootstrap | fromJson).accounts -}}
{{- if eq .username "admin" -}}
{{- $_ := set $data "admin-password" (.password | b64enc) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $_ := set .Values "_secretData" $data -}}
{{- end -}}
{{- toYaml .Values._secretData -}}
{{- end -}}

{{/* Keys of the tokens that Consul knows the components by. */}}
{{- define "zhiyin.consulTokenKeys" -}}
{{- range $component, $facts := include "zhiyin.facts" . | fromYaml }}
- consul-token-{{ $component }}
{{- end }}
{{- end -}}

{{/* The accounts and clients that login makes at its start, in the format that the command line writes as well. */}}
{{- define "zhiyin.bootstrap" -}}
{{- $old := get .data "bootstrap.json" | default "" | b64dec | default "{}" | fromJson -}}
{{- $accounts := dict -}}
{{- range $old.accounts -}}
{{- $_ := set $accounts .username . -}}
{{- end -}}
{{- $wanted := list (dict "username" "agent" "roles" (list "agent") "customer" nil "display_name" "Agent") -}}
{{- $wanted = append $wanted (dict "username" "operator" "roles" (list "operator") "customer" nil "display_name" "Operator") -}}
{{- $wanted = append $wanted (dict "username" "admin" "roles" (list "admin") "customer" nil "display_name" "Admin") -}}
{{- if eq .root.Values.environment "development" -}}
{{- $wanted = append $wanted (dict "username" "lilei" "roles" (list "customer") "customer" "C1001" "display_name" "李雷 Li Lei") -}}
{{- $wanted = append $wanted (dict "username" "hanmeimei" "roles" (list "customer") "customer" "C1002" "display_name" "韩梅梅 Han Meimei") -}}
{{- end -}}
{{- range $wanted -}}
{{- if not (hasKey $accounts .username) -}}
{{- $_ := set $accounts .username (merge (dict "password" (randAlphaNum 20)) .) -}}
{{- end -}}
{{- end -}}
{{- $clients := list -}}
{{- range $client, $scopes := dict "dialogue" (list "intent:predict" "business:lookup" "business:actions" "learning:read" "learning:report" "login:gateway") "intent" (list "learning:read" "learning:report") "business" (list "learning:read" "learning:report") "worker" (list "learning:read") "learning" (list "intent:predict") -}}
{{- $clients = append $clients (dict "client_id" $client "client_secret" (get $.data (print "client-secret-" $client) | b64dec) "scopes" $scopes) -}}
{{- end -}}
{{- $sorted := list -}}
{{- range $accounts -}}
{{- $sorted = append $sorted . -}}
{{- end -}}
{{- dict "accounts" $sorted "clients" $clients | toJson -}}
{{- end -}}

{{/* Digest of some keys of the Secret, so that pods that use them are replaced when they change: root, keys. */}}
{{- define "zhiyin.secretChecksum" -}}
{{- $data := include "zhiyin.secretData" .root | fromYaml -}}
{{- $used := dict -}}
{{- range .keys -}}
{{- $_ := set $used . (get $data .) -}}
{{- end -}}
{{- $used | toJson | sha256sum -}}
{{- end -}}

{{/* Keys of the Secret that a component reads: root, facts. */}}
{{- define "zhiyin.secretKeys" -}}
{{- if .facts.bootstrap }}
- login-secret
- login-secret-accepted
- bootstrap.json
{{- end }}
{{- with .facts.client }}
- client-secret-{{ . }}
{{- end }}
{{- if and .root.Values.shop.enabled (eq (.facts.database | default "") "business") }}
- shop-key
{{- end }}
{{- if and .root.Values.consul.enabled (eq .root.Values.registry.mode "consul") }}
- consul-token-{{ .component }}
{{- end }}
{{- if and .facts.redis .root.Values.redis.enabled }}
- redis-password-{{ .component }}
{{- end }}
{{- if and .facts.database .root.Values.postgresql.enabled }}
- postgresql-password-{{ .facts.database }}
{{- end }}
{{- end -}}

{{/* Secrets of the user's own that a component reads the address of a store from, as a list of name and key: root, facts. */}}
{{- define "zhiyin.givenSecrets" -}}
{{- $values := .root.Values -}}
{{- $list := list -}}
{{- with $values.externalPostgresql.existingSecret -}}
{{- if and $.facts.database (not $values.postgresql.enabled) -}}
{{- $list = append $list (dict "name" . "key" (print $.facts.database "-url")) -}}
{{- end -}}
{{- end -}}
{{- with $values.externalRedis -}}
{{- if and .existingSecret $.facts.redis (not $values.redis.enabled) -}}
{{- $list = append $list (dict "name" .existingSecret "key" ((get . $.component).existingSecretKey | default .existingSecretKey)) -}}
{{- end -}}
{{- end -}}
{{- with $values.externalMlflow -}}
{{- if and .existingSecret $.facts.models -}}
{{- $list = append $list (dict "name" .existingSecret "key" .existingSecretKey) -}}
{{- end -}}
{{- end -}}
{{- toYaml $list -}}
{{- end -}}

{{/* Digest of those, as they are in the cluster: root, secrets. */}}
{{- define "zhiyin.givenChecksum" -}}
{{- $found := list -}}
{{- range .secrets -}}
{{- $data := (lookup "v1" "Secret" $.root.Release.Namespace .name).data | default dict -}}
{{- $found = append $found (get $data .key) -}}
{{- end -}}
{{- $found | toJson | sha256sum -}}
{{- end -}}
