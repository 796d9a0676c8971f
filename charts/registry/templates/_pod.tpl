{{/* The pods of the Deployment and of the StatefulSet, which differ in nothing but their volume. */}}

{{- define "registry.podTemplate" -}}
metadata:
  labels:
    {{- include "registry.selectorLabels" (dict "root" . "component" "registry") | nindent 4 }}
    {{- if .Values.storage.azure.workloadIdentity.enabled }}
    azure.workload.identity/use: "true"
    {{- end }}
    {{- with merge (dict) .Values.podLabels .Values.commonLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    # Changes of these start new pods. Policies, users, certificates, limits and log levels are read again by those that run.
    checksum/config: {{ include "registry.restartSettings" . | sha256sum }}
    {{- with include "registry.secretSettings" . }}
    checksum/secret: {{ sha256sum . }}
    {{- end }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "registry.serviceAccountName" . }}
  automountServiceAccountToken: {{ .Values.serviceAccount.automount }}
  enableServiceLinks: false
  # No preStop hook: on SIGTERM the server says on /readyz that it is leaving, goes on to take requests while that gets
  # around (Drain:Announce), lets those that run come to their end (Drain:Deadline), and ends itself.
  terminationGracePeriodSeconds: {{ include "registry.gracePeriod" . }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  securityContext:
    {{- toYaml .Values.podSecurityContext | nindent 4 }}
  {{- with .Values.initContainers }}
  initContainers:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: registry
      image: {{ include "registry.image" (dict "image" .Values.image "tag" .Chart.AppVersion) }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args:
        - --contentRoot=/etc/oci-registry
        - --urls={{ include "registry.scheme" . }}://*:8080
        {{- with .Values.operations.port }}
        - --OciRegistry:Operations:Urls={{ include "registry.scheme" $ }}://*:{{ . }}
        {{- end }}
        {{- with .Values.extraArgs }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with include "registry.env" . | trim }}
      env:
        {{- . | nindent 8 }}
      {{- end }}
      {{- with .Values.extraEnvFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      ports:
        - name: registry
          containerPort: 8080
          protocol: TCP
        {{- with .Values.operations.port }}
        - name: operations
          containerPort: {{ . }}
          protocol: TCP
        {{- end }}
      {{- $scheme := include "registry.scheme" . | upper }}
      startupProbe:
        httpGet:
          path: /startupz
          port: {{ include "registry.operationsPort" . }}
          scheme: {{ $scheme }}
        {{- toYaml .Values.probes.startup | nindent 8 }}
      livenessProbe:
        httpGet:
          path: /livez
          port: {{ include "registry.operationsPort" . }}
          scheme: {{ $scheme }}
        {{- toYaml .Values.probes.liveness | nindent 8 }}
      readinessProbe:
        httpGet:
          path: /readyz
          port: {{ include "registry.operationsPort" . }}
          scheme: {{ $scheme }}
        {{- toYaml .Values.probes.readiness | nindent 8 }}
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      securityContext:
        {{- toYaml .Values.securityContext | nindent 8 }}
      volumeMounts:
        {{- include "registry.volumeMounts" . | trim | nindent 8 }}
    {{- with .Values.extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    {{- include "registry.volumes" . | trim | nindent 4 }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.topologySpread.topologyKeys }}
  topologySpreadConstraints:
    {{- range . }}
    - maxSkew: 1
      topologyKey: {{ . }}
      whenUnsatisfiable: {{ $.Values.topologySpread.whenUnsatisfiable }}
      labelSelector:
        matchLabels:
          {{- include "registry.selectorLabels" (dict "root" $ "component" "registry") | nindent 10 }}
      {{- if eq $.Values.storage.type "azure" }}
      # The new pods of a rolling update are spread among themselves.
      matchLabelKeys: [pod-template-hash]
      {{- end }}
    {{- end }}
  {{- end }}
{{- end -}}

{{/* A setting from a Secret. Called with a dict of "name", "secret" and "key". */}}
{{- define "registry.secretVariable" }}
- name: {{ .name }}
  valueFrom:
    secretKeyRef:
      name: {{ .secret }}
      key: {{ .key }}
{{- end -}}

{{- define "registry.env" -}}
{{- $own := include "registry.fullname" . -}}
{{- $azure := .Values.storage.azure -}}
{{- if $azure.connectionString }}
{{- include "registry.secretVariable" (dict "name" "OciRegistry__Storage__AzureBlobs__ConnectionString" "secret" $own "key" "azure-connection-string") }}
{{- else if $azure.existingSecret.connectionStringKey }}
{{- include "registry.secretVariable" (dict "name" "OciRegistry__Storage__AzureBlobs__ConnectionString" "secret" $azure.existingSecret.name "key" $azure.existingSecret.connectionStringKey) }}
{{- end }}
{{- if $azure.accountKey }}
{{- include "registry.secretVariable" (dict "name" "OciRegistry__Storage__AzureBlobs__AccountKey" "secret" $own "key" "azure-account-key") }}
{{- else if $azure.existingSecret.accountKeyKey }}
{{- include "registry.secretVariable" (dict "name" "OciRegistry__Storage__AzureBlobs__AccountKey" "secret" $azure.existingSecret.name "key" $azure.existingSecret.accountKeyKey) }}
{{- end }}
{{- range $i, $_ := .Values.redis.configuration }}
{{- include "registry.secretVariable" (dict "name" (printf "OciRegistry__Redis__Configuration__%d" $i) "secret" $own "key" (printf "redis-%d" $i)) }}
{{- end }}
{{- if .Values.redis.existingSecret.name }}
{{- range $i, $key := .Values.redis.existingSecret.keys }}
{{- include "registry.secretVariable" (dict "name" (printf "OciRegistry__Redis__Configuration__%d" $i) "secret" $.Values.redis.existingSecret.name "key" $key) }}
{{- end }}
{{- end }}
{{- range $i, $upstream := .Values.pullThrough.upstreams }}
{{- with $upstream.credentialsSecret }}
{{- include "registry.secretVariable" (dict "name" (printf "OciRegistry__PullThrough__Upstreams__%d__Username" $i) "secret" . "key" "username") }}
{{- end }}
{{- end }}
{{- if include "registry.trustedVolume" . }}
# .NET and OpenSSL add what is there to what the image trusts.
- name: SSL_CERT_DIR
  value: /etc/ssl/certs:/etc/oci-registry-trusted
{{- end }}
{{- if .Values.tls.enabled }}
- name: Kestrel__Certificates__Default__Path
  value: /etc/oci-registry-tls/tls.crt
- name: Kestrel__Certificates__Default__KeyPath
  value: /etc/oci-registry-tls/tls.key
{{- end }}
{{- with .Values.telemetry }}
{{- if .otlpEndpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ .otlpEndpoint | quote }}
- name: OTEL_EXPORTER_OTLP_PROTOCOL
  value: {{ .otlpProtocol }}
{{- with .headersSecret }}
{{- if .name }}
{{- include "registry.secretVariable" (dict "name" "OTEL_EXPORTER_OTLP_HEADERS" "secret" .name "key" .key) }}
{{- end }}
{{- end }}
- name: OTEL_SERVICE_NAME
  value: {{ .serviceName | quote }}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: POD_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: NODE_NAME
  valueFrom:
    fieldRef:
      fieldPath: spec.nodeName
{{- $attributes := list "k8s.pod.name=$(POD_NAME)" "k8s.namespace.name=$(POD_NAMESPACE)" "k8s.node.name=$(NODE_NAME)" "service.instance.id=$(POD_NAME)" }}
{{- range $key, $value := .resourceAttributes }}
{{- $attributes = append $attributes (printf "%s=%s" $key $value) }}
{{- end }}
- name: OTEL_RESOURCE_ATTRIBUTES
  value: {{ join "," $attributes | quote }}
{{- end }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Folders, not single files of them: only in a folder does Kubernetes replace what has changed. */}}
{{- define "registry.volumeMounts" -}}
- name: settings
  mountPath: /etc/oci-registry
  readOnly: true
{{- if include "registry.htpasswdSecret" . }}
- name: users
  mountPath: /etc/oci-registry-users
  readOnly: true
{{- end }}
{{- if include "registry.policies" . }}
- name: policies
  mountPath: /etc/oci-registry-policies
  readOnly: true
{{- end }}
{{- if .Values.auth.clientCertificates.existingSecret }}
- name: client-ca
  mountPath: /etc/oci-registry-client-ca
  readOnly: true
{{- end }}
{{- if include "registry.signingKeysSecret" . }}
- name: signing-keys
  mountPath: /etc/oci-registry-signing-keys
  readOnly: true
{{- end }}
{{- range $i, $upstream := .Values.pullThrough.upstreams }}
{{- if $upstream.credentialsSecret }}
- name: upstream-{{ $i }}
  mountPath: /etc/oci-registry-upstreams/{{ $i }}
  readOnly: true
{{- end }}
{{- end }}
{{- if include "registry.trustedVolume" . }}
- name: trusted
  mountPath: /etc/oci-registry-trusted
  readOnly: true
{{- end }}
{{- if .Values.tls.enabled }}
- name: tls
  mountPath: /etc/oci-registry-tls
  readOnly: true
{{- end }}
{{- if eq .Values.storage.type "filesystem" }}
- name: data
  mountPath: /var/lib/registry
{{- end }}
- name: tmp
  mountPath: /tmp
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* A Secret of which one key becomes a file. Called with a dict of "volume", "secret", "key" and "file". */}}
{{- define "registry.secretVolume" }}
- name: {{ .volume }}
  secret:
    secretName: {{ .secret }}
    defaultMode: 0440
    items:
      - key: {{ .key }}
        path: {{ .file }}
{{- end -}}

{{/* Certificates that are trusted beside those of the image; empty when there are none. */}}
{{- define "registry.trustedVolume" -}}
{{- if .Values.trustedCertificates.configMap -}}
- name: trusted
  configMap:
    name: {{ .Values.trustedCertificates.configMap }}
{{- else if .Values.trustedCertificates.secret -}}
- name: trusted
  secret:
    secretName: {{ .Values.trustedCertificates.secret }}
    defaultMode: 0440
{{- end -}}
{{- end -}}

{{- define "registry.volumes" -}}
- name: settings
  configMap:
    name: {{ include "registry.fullname" . }}
{{- with include "registry.htpasswdSecret" . }}
{{- include "registry.secretVolume" (dict "volume" "users" "secret" . "key" (ternary $.Values.auth.htpasswd.key "htpasswd" (ne $.Values.auth.htpasswd.existingSecret "")) "file" "htpasswd") }}
{{- end }}
{{- with include "registry.policies" . }}
- name: policies
  configMap:
    name: {{ . }}
{{- end }}
{{- with .Values.auth.clientCertificates }}
{{- if .existingSecret }}
{{- include "registry.secretVolume" (dict "volume" "client-ca" "secret" .existingSecret "key" .key "file" "ca.crt") }}
{{- end }}
{{- end }}
{{- with include "registry.signingKeysSecret" . }}
{{- include "registry.secretVolume" (dict "volume" "signing-keys" "secret" . "key" (ternary $.Values.auth.tokens.key "signing-keys.pem" (ne $.Values.auth.tokens.existingSecret "")) "file" "signing-keys.pem") }}
{{- end }}
{{- range $i, $upstream := .Values.pullThrough.upstreams }}
{{- with $upstream.credentialsSecret }}
{{- include "registry.secretVolume" (dict "volume" (printf "upstream-%d" $i) "secret" . "key" "password" "file" "password") }}
{{- end }}
{{- end }}
{{- with include "registry.trustedVolume" . }}
{{ . }}
{{- end }}
{{- if .Values.tls.enabled }}
- name: tls
  secret:
    secretName: {{ include "registry.tlsSecret" . }}
    defaultMode: 0440
{{- end }}
{{- if eq .Values.storage.type "filesystem" }}
{{- with include "registry.sharedClaim" . }}
- name: data
  persistentVolumeClaim:
    claimName: {{ . }}
{{- end }}
{{- end }}
# Content on its way from upstreams is here, and what .NET itself needs.
- name: tmp
  emptyDir:
    {{- if .Values.tmp.sizeLimit }}
    sizeLimit: {{ .Values.tmp.sizeLimit }}
    {{- else }} {}
    {{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
