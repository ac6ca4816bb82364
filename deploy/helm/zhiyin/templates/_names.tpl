{{/* Names, labels and images: the same for every object. */}}

{{- define "zhiyin.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/*
The first part of every name: short enough that every suffix of the chart's still fits, and good for a Service, whose
name begins with a letter and has no dot. What had to be changed ends with a hash of the whole, so that two never meet.
*/}}
{{- define "zhiyin.fullname" -}}
{{- $name := include "zhiyin.name" . -}}
{{- $whole := .Values.fullnameOverride | default (contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name)) -}}
{{- $label := $whole | lower | replace "." "-" | replace "_" "-" | trimAll "-" -}}
{{- if not (regexMatch "^[a-z]" $label) -}}
{{- $label = print "z" $label -}}
{{- end -}}
{{- if or (ne $label $whole) (gt (len $label) 40) -}}
{{- $label = printf "%s-%s" ($label | trunc 33 | trimSuffix "-") (sha256sum $whole | trunc 6) -}}
{{- end -}}
{{- $label -}}
{{- end -}}

{{/* A number, a yes or no as its owner wrote it: helm reads numbers of a file as floats, and would print 2e+06. */}}
{{- define "zhiyin.text" -}}
{{- kindIs "string" . | ternary . (toJson .) -}}
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

{{/* All labels of an object: root, component, pool, and labels of the object's own, which win over those of all. */}}
{{- define "zhiyin.labels" -}}
{{- $labels := dict "app.kubernetes.io/part-of" "zhiyin" -}}
{{- $_ := set $labels "app.kubernetes.io/version" .root.Chart.AppVersion -}}
{{- $_ := set $labels "app.kubernetes.io/managed-by" .root.Release.Service -}}
{{- $_ := set $labels "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_") -}}
{{- $selector := include "zhiyin.selector" . | fromYaml -}}
{{- toYaml (mergeOverwrite $labels .root.Values.commonLabels (.labels | default dict) $selector) -}}
{{- end -}}

{{/* Name, namespace, labels and annotations of an object: root, name, component, labels, annotations. */}}
{{- define "zhiyin.metadata" -}}
name: {{ .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "zhiyin.labels" . | nindent 2 }}
{{- with .annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
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
{{- if kindIs "float64" .tag -}}
{{- fail (printf "\n\nThe tag of %s is a number, of which nobody knows how it was written; put it in quotes.\n" $repository) -}}
{{- end -}}
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

{{/* What "restricted" asks of a pod: root, user (the id in the image). */}}
{{- define "zhiyin.podSecurity" -}}
{{- $security := dict "runAsNonRoot" true "fsGroupChangePolicy" "OnRootMismatch" "seccompProfile" (dict "type" "RuntimeDefault") -}}
{{- if not .root.Values.openshift -}}
{{- range list "runAsUser" "runAsGroup" "fsGroup" -}}
{{- $_ := set $security . (int64 $.user) -}}
{{- end -}}
{{- end -}}
{{- toYaml (mergeOverwrite $security .root.Values.podSecurityContext) -}}
{{- end -}}

{{/* What "restricted" asks of a container, and a read-only root file system. Takes the root. */}}
{{- define "zhiyin.containerSecurity" -}}
{{- $security := dict "allowPrivilegeEscalation" false "privileged" false "readOnlyRootFilesystem" true -}}
{{- $_ := set $security "capabilities" (dict "drop" (list "ALL")) -}}
{{- toYaml (mergeOverwrite $security .Values.securityContext) -}}
{{- end -}}
