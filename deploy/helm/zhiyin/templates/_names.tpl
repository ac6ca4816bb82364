{{/* Names, labels and images: the same for every object. */}}

{{- define "zhiyin.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Short enough that every suffix of the chart's still fits into a name. */}}
{{- define "zhiyin.fullname" -}}
{{- $name := include "zhiyin.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What tells this installation apart where several share a store: no two releases of a cluster have the same. */}}
{{- define "zhiyin.installation" -}}
{{- $fullname := include "zhiyin.fullname" . -}}
{{- $digest := printf "%s/%s" .Release.Namespace $fullname | sha256sum | trunc 8 -}}
{{- .Values.installation | default (printf "%s-%s" ($fullname | trunc 23 | trimSuffix "-") $digest) -}}
{{- end -}}

{{/* Labels by which pods are found; they never change. Takes root and component, and pool where there are two. */}}
{{- define "zhiyin.selector" -}}
app.kubernetes.io/name: {{ include "zhiyin.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- with .pool }}
zhiyin.io/pool: {{ . }}
{{- end }}
{{- end -}}

{{/* All labels of an object. */}}
{{- define "zhiyin.labels" -}}
{{ include "zhiyin.selector" . }}
app.kubernetes.io/part-of: zhiyin
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* Name, namespace and labels of an object: root, name, component. */}}
{{- define "zhiyin.metadata" -}}
name: {{ .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "zhiyin.labels" . | nindent 2 }}
{{- end -}}

{{/* An image: root, repository, tag, digest. The mirror replaces the registry, which is a first part with a dot, a colon or the name localhost. */}}
{{- define "zhiyin.imageOf" -}}
{{- $repository := .repository -}}
{{- with .root.Values.global.imageRegistry -}}
{{- $first := splitList "/" $repository | first -}}
{{- if or (contains "." $first) (contains ":" $first) (eq $first "localhost") -}}
{{- $repository = trimPrefix (printf "%s/" $first) $repository -}}
{{- end -}}
{{- $repository = printf "%s/%s" (trimSuffix "/" .) $repository -}}
{{- end -}}
{{- if .digest -}}
{{- printf "%s@%s" $repository .digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (toString .tag) -}}
{{- end -}}
{{- end -}}

{{/* An image of our own: root, image (name, repository, tag, digest), component. */}}
{{- define "zhiyin.image" -}}
{{- $values := .root.Values.image -}}
{{- $repository := .image.repository | default (print $values.repositoryPrefix (default .component .image.name)) -}}
{{- $tag := .image.tag | default $values.tag | default .root.Chart.AppVersion -}}
{{- include "zhiyin.imageOf" (dict "root" .root "repository" $repository "tag" $tag "digest" .image.digest) -}}
{{- end -}}

{{- define "zhiyin.imagePullSecrets" -}}
{{- range .Values.global.imagePullSecrets }}
- name: {{ kindIs "map" . | ternary (get (kindIs "map" . | ternary . dict) "name") . }}
{{- end }}
{{- end -}}

{{/* StorageClass of a volume: root, persistence. */}}
{{- define "zhiyin.storageClass" -}}
{{- with .persistence.storageClass | default .root.Values.global.storageClass }}
storageClassName: {{ . | quote }}
{{- end }}
{{- end -}}

{{/* What "restricted" asks of a pod; takes the user id. */}}
{{- define "zhiyin.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* What "restricted" asks of a container, and a read-only root file system. */}}
{{- define "zhiyin.containerSecurity" -}}
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
privileged: false
readOnlyRootFilesystem: true
{{- end -}}
