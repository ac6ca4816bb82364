{{/* The pod of a workload: root, name, component, pool, facts, values. */}}

{{- define "zhiyin.grace" -}}
{{- int64 (.terminationGracePeriodSeconds | default (add .drainSeconds .workSeconds 15)) -}}
{{- end -}}

{{/* Runs a component again whenever it ends, until the pod does; the program's number is in a file, to end it by. */}}
{{- define "zhiyin.restarting" -}}
trap 'kill $program; wait $program; exit' TERM; while :; do python -m shared.http {{ . }} & program=$!; echo $program > /tmp/program; wait $program; sleep 1; done
{{- end -}}

{{- define "zhiyin.pod" -}}
{{- $root := .root -}}
{{- $values := .values -}}
{{- $diagnostic := or $root.Values.diagnosticMode $values.diagnosticMode -}}
{{- $reload := $root.Values.liveReload -}}
{{- $image := include "zhiyin.image" (dict "root" $root "image" $values.image "component" .component) -}}
metadata:
  labels:
    {{- include "zhiyin.labels" (dict "root" $root "component" .component "pool" .pool "labels" $values.podLabels) | nindent 4 }}
  annotations:
    {{- $annotations := dict "kubectl.kubernetes.io/default-container" .component }}
    {{- $_ := set $annotations "checksum/config" (include "zhiyin.config" $root | sha256sum) }}
    {{- $_ := set $annotations "checksum/secret" (include "zhiyin.secretChecksum" (dict "root" $root "keys" (include "zhiyin.secretKeys" . | fromYamlArray))) }}
    {{- with include "zhiyin.addresses" $root | fromYaml }}
    {{- $_ := set $annotations "checksum/addresses" (toJson . | sha256sum) }}
    {{- end }}
    {{- with include "zhiyin.givenSecrets" . | fromYamlArray }}
    {{- $_ := set $annotations "checksum/stores" (include "zhiyin.givenChecksum" (dict "root" $root "secrets" .)) }}
    {{- end }}
    {{- toYaml (mergeOverwrite $annotations $values.podAnnotations) | nindent 4 }}
spec:
  serviceAccountName: {{ include "zhiyin.serviceAccountName" . }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with include "zhiyin.imagePullSecrets" $root }}
  imagePullSecrets:
    {{- . | nindent 4 }}
  {{- end }}
  terminationGracePeriodSeconds: {{ include "zhiyin.grace" $values }}
  {{- with $values.runtimeClassName }}
  runtimeClassName: {{ . }}
  {{- end }}
  {{- include "zhiyin.priorityClass" (dict "root" $root "given" $values.priorityClassName "class" "serving") | nindent 2 }}
  {{- with $values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- include "zhiyin.affinity" . | nindent 2 }}
  topologySpreadConstraints:
    {{- include "zhiyin.spread" . | nindent 4 }}
  securityContext:
    {{- include "zhiyin.podSecurity" (dict "root" $root "user" 10001) | nindent 4 }}
  {{- if or $reload $values.initContainers }}
  initContainers:
    {{- if $reload }}
    - name: copy
      image: {{ $image }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      command: [cp, -r, /app/., /copy]
      securityContext:
        {{- include "zhiyin.containerSecurity" $root | nindent 8 }}
      resources:
        {{- toYaml $values.resources | nindent 8 }}
      volumeMounts:
        - {name: app, mountPath: /copy}
    {{- end }}
    {{- with $values.initContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- end }}
  containers:
    - name: {{ .component }}
      image: {{ $image }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      {{- if $diagnostic }}
      command: [sleep, infinity]
      {{- else if $reload }}
      command: [sh, -c, {{ include "zhiyin.restarting" .component | toJson }}]
      {{- else }}
      command: [python, -m, shared.http, {{ .component }}]
      {{- end }}
      securityContext:
        {{- include "zhiyin.containerSecurity" $root | nindent 8 }}
      ports:
        - {name: http, containerPort: 8080, protocol: TCP}
        - {name: metrics, containerPort: 9090, protocol: TCP}
      envFrom:
        - configMapRef:
            name: {{ include "zhiyin.fullname" $root }}-config
        {{- with $values.extraEnvFrom }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      env:
        {{- include "zhiyin.env" (dict "variables" (include "zhiyin.componentEnv" . | fromYaml) "env" $values.env "extraEnv" $values.extraEnv) | nindent 8 }}
      {{- if not $diagnostic }}
      startupProbe:
        httpGet: {path: /health/live, port: http}
        {{- $startup := $values.probes.startup }}
        {{- $fewest := dict "failureThreshold" (divf $values.startupSeconds $startup.periodSeconds | ceil | int) }}
        {{- toYaml (mergeOverwrite $fewest $startup) | nindent 8 }}
      livenessProbe:
        httpGet: {path: /health/live, port: http}
        {{- toYaml $values.probes.liveness | nindent 8 }}
      readinessProbe:
        httpGet: {path: /health/ready, port: http}
        {{- toYaml $values.probes.readiness | nindent 8 }}
      {{- end }}
      {{- with $values.resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      volumeMounts:
        - {name: tmp, mountPath: /tmp}
        {{- if $reload }}
        - {name: app, mountPath: /app}
        {{- end }}
        {{- if and .facts.models (include "zhiyin.mlflowEnv" $root) }}
        - {name: models, mountPath: /var/lib/zhiyin}
        {{- end }}
        {{- if .facts.bootstrap }}
        - {name: bootstrap, mountPath: /etc/zhiyin/bootstrap, readOnly: true}
        {{- end }}
        {{- with $values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    {{- with $values.sidecars }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    - name: tmp
      emptyDir: {}
    {{- if $reload }}
    - name: app
      emptyDir: {}
    {{- end }}
    {{- if and .facts.models (include "zhiyin.mlflowEnv" $root) }}
    - name: models
      emptyDir: {}
    {{- end }}
    {{- if .facts.bootstrap }}
    - name: bootstrap
      secret:
        secretName: {{ include "zhiyin.secretName" $root }}
        defaultMode: 0440
        items:
          - {key: bootstrap.json, path: bootstrap.json}
    {{- end }}
    {{- with $values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{- define "zhiyin.affinity" -}}
{{- $selector := include "zhiyin.selector" . | fromYaml -}}
{{- $term := dict "labelSelector" (dict "matchLabels" $selector) "topologyKey" "kubernetes.io/hostname" -}}
{{- $preset := .values.podAntiAffinityPreset -}}
{{- with .values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- else }}
{{- if eq $preset "hard" }}
affinity:
  podAntiAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      - {{- toYaml $term | nindent 8 }}
{{- else if eq $preset "soft" }}
affinity:
  podAntiAffinity:
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          {{- toYaml $term | nindent 10 }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "zhiyin.spread" -}}
{{- with .values.topologySpreadConstraints }}
{{- toYaml . }}
{{- else }}
{{- $selector := include "zhiyin.selector" . }}
{{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
- maxSkew: 1
  topologyKey: {{ $key }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- $selector | nindent 6 }}
{{- end }}
{{- end }}
{{- end -}}
