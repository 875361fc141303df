{{- define "worker.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "worker.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "worker.labels" -}}
{{ include "worker.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "worker.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "worker.name" .) -}}
{{- end -}}

{{- define "worker.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What the pods of the worker and of the topics' job have in common. */}}
{{- define "worker.podSecurity" -}}
runAsNonRoot: true
runAsUser: 1000
runAsGroup: 1000
fsGroup: 1000
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "worker.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "worker.env" -}}
{{- range $name, $value := .Values.settings }}
{{- $isGivenBelow := and (eq $name "KAFKA_SSL") $.Values.kafkaTls.existingSecret }}
{{- if not (or (eq (toString $value) "") $isGivenBelow) }}
- name: {{ $name }}
  value: {{ toString $value | quote }}
{{- end }}
{{- end }}
{{- range .Values.secrets.keys }}
- name: {{ . }}_FILE
  value: /etc/connection-secrets/secrets/{{ . }}
{{- end }}
{{- with .Values.kafkaTls }}
{{- if .existingSecret }}
- name: KAFKA_SSL
  value: "true"
- name: KAFKA_SSL_CA_FILE
  value: /etc/connection-secrets/kafka/{{ .ca }}
{{- if .cert }}
- name: KAFKA_SSL_CERT_FILE
  value: /etc/connection-secrets/kafka/{{ .cert }}
- name: KAFKA_SSL_KEY_FILE
  value: /etc/connection-secrets/kafka/{{ .key }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "worker.volumeMounts" -}}
- name: secrets
  mountPath: /etc/connection-secrets/secrets
  readOnly: true
{{- if .Values.kafkaTls.existingSecret }}
- name: kafka-tls
  mountPath: /etc/connection-secrets/kafka
  readOnly: true
{{- end }}
{{- range .Values.extraVolumeMounts }}
- {{ toYaml . | nindent 2 | trim }}
{{- end }}
{{- end -}}

{{- define "worker.volumes" -}}
- name: secrets
  secret:
    secretName: {{ required "secrets.existingSecret: name the Secret with FERNET_KEY and DATABASE_URL" .Values.secrets.existingSecret }}
    # 0440
    defaultMode: 288
{{- if .Values.kafkaTls.existingSecret }}
- name: kafka-tls
  secret:
    secretName: {{ .Values.kafkaTls.existingSecret }}
    # 0440
    defaultMode: 288
{{- end }}
{{- range .Values.extraVolumes }}
- {{ toYaml . | nindent 2 | trim }}
{{- end }}
{{- end -}}
