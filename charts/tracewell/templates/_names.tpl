{{- define "tracewell.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 53 | trimSuffix "-" }}
{{- end }}

{{- define "tracewell.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 53 | trimSuffix "-" }}
{{- else if contains (include "tracewell.name" .) .Release.Name }}
{{- .Release.Name | trunc 53 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "tracewell.name" .) | trunc 53 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "tracewell.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "tracewell.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name must name an existing account when serviceAccount.create is false" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "tracewell.roleKind" -}}
{{- if eq .Values.scope "Cluster" }}ClusterRole{{ else }}Role{{ end }}
{{- end }}

{{- /* Whether a Prometheus operator finds the pod: then no annotation says the same once more. */ -}}
{{- define "tracewell.monitors" -}}
{{- if and .Values.monitoring.monitors (.Capabilities.APIVersions.Has "monitoring.coreos.com/v1") }}true{{ end }}
{{- end }}

{{- define "tracewell.selectorLabels" -}}
app.kubernetes.io/name: {{ include "tracewell.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "tracewell.labels" -}}
{{ include "tracewell.selectorLabels" . }}
app.kubernetes.io/component: operator
app.kubernetes.io/part-of: tracewell
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}
