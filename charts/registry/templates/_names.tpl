{{/* What things are called, and how they are labelled. */}}

{{- define "registry.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 50 characters, so that a suffix still fits into the 63 of a Service's name. */}}
{{- define "registry.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "registry.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "registry.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Called with a dict of "root" and "component": registry, redis, headless or test. */}}
{{- define "registry.selectorLabels" -}}
app.kubernetes.io/name: {{ include "registry.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Called likewise, with "extra" labels or without. */}}
{{- define "registry.labels" -}}
{{ include "registry.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with merge (dict) (default dict .extra) .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Called with a dict of "image" and "tag", the tag that counts when the image has none. */}}
{{- define "registry.image" -}}
{{- if .image.digest -}}
{{- printf "%s@%s" .image.repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" .image.repository (default .tag .image.tag) -}}
{{- end -}}
{{- end -}}

{{/* What the server speaks inside the cluster. */}}
{{- define "registry.scheme" -}}
{{- ternary "https" "http" .Values.tls.enabled -}}
{{- end -}}

{{/* Seconds as the registry's settings take them: 01:01:01. */}}
{{/* The name of the port on which health and metrics are answered. */}}
{{- define "registry.operationsPort" -}}
{{- ternary "operations" "registry" (not (empty .Values.operations.port)) -}}
{{- end -}}

{{- define "registry.time" -}}
{{- $seconds := int . -}}
{{- printf "%02d:%02d:%02d" (div $seconds 3600) (mod (div $seconds 60) 60) (mod $seconds 60) -}}
{{- end -}}

{{- define "registry.gracePeriod" -}}
{{- if kindIs "invalid" .Values.drain.terminationGracePeriodSeconds -}}
{{- add .Values.drain.announceSeconds .Values.drain.deadlineSeconds 15 -}}
{{- else -}}
{{- int .Values.drain.terminationGracePeriodSeconds -}}
{{- end -}}
{{- end -}}

{{/* The most replicas that there can be. */}}
{{- define "registry.mostReplicas" -}}
{{- ternary .Values.autoscaling.maxReplicas .Values.replicas .Values.autoscaling.enabled -}}
{{- end -}}

{{/* Not empty when all replicas write to one claim, and there is none for each. */}}
{{- define "registry.sharedClaim" -}}
{{- $volume := .Values.storage.filesystem -}}
{{- if $volume.existingClaim -}}
{{- $volume.existingClaim -}}
{{- else if eq $volume.accessMode "ReadWriteMany" -}}
{{- include "registry.fullname" . -}}
{{- end -}}
{{- end -}}

{{/* Names of Secrets: those that are there already, or the chart's own. */}}
{{- define "registry.htpasswdSecret" -}}
{{- $users := .Values.auth.htpasswd -}}
{{- if $users.existingSecret -}}
{{- $users.existingSecret -}}
{{- else if $users.content -}}
{{- include "registry.fullname" . }}-users
{{- end -}}
{{- end -}}

{{- define "registry.signingKeysSecret" -}}
{{- $tokens := .Values.auth.tokens -}}
{{- if $tokens.existingSecret -}}
{{- $tokens.existingSecret -}}
{{- else if $tokens.signingKeys -}}
{{- include "registry.fullname" . }}-signing-keys
{{- end -}}
{{- end -}}

{{- define "registry.tlsSecret" -}}
{{- default (printf "%s-server-tls" (include "registry.fullname" .)) .Values.tls.existingSecret -}}
{{- end -}}

{{- define "registry.policies" -}}
{{- if .Values.auth.existingPolicies -}}
{{- .Values.auth.existingPolicies -}}
{{- else if .Values.auth.policies -}}
{{- include "registry.fullname" . }}-policies
{{- end -}}
{{- end -}}

{{/* Not empty when somebody can be told from somebody else. */}}
{{- define "registry.hasAuth" -}}
{{- $auth := .Values.auth -}}
{{- if or (include "registry.htpasswdSecret" .) $auth.robots $auth.issuers $auth.clientCertificates.existingSecret (include "registry.policies" .) -}}
true
{{- end -}}
{{- end -}}

{{/* Not empty when replicas can wait for each other. */}}
{{- define "registry.hasRedis" -}}
{{- if or .Values.redis.deploy .Values.redis.configuration .Values.redis.existingSecret.name -}}
true
{{- end -}}
{{- end -}}

{{/* Settings that are secrets, and are in no Secret yet: what the chart's own Secret holds. */}}
{{- define "registry.secretSettings" -}}
{{- with .Values.storage.azure.connectionString }}
azure-connection-string: {{ . | quote }}
{{- end }}
{{- with .Values.storage.azure.accountKey }}
azure-account-key: {{ . | quote }}
{{- end }}
{{- range $i, $server := .Values.redis.configuration }}
redis-{{ $i }}: {{ $server | quote }}
{{- end }}
{{- end -}}
