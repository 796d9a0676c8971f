{{/* appsettings.json: what the values say, and then what "config" says. */}}

{{- define "registry.settings" -}}
{{- $auth := .Values.auth -}}
{{- $settings := dict "Auth" (dict "Basic" $auth.basic) -}}

{{- if eq .Values.storage.type "azure" -}}
{{- $azure := .Values.storage.azure -}}
{{- $blobs := dict "Container" $azure.container "CreateContainer" $azure.createContainer "Redirect" $azure.redirect -}}
{{- with $azure.serviceUri -}}{{- $_ := set $blobs "ServiceUri" . -}}{{- end -}}
{{- with $azure.prefix -}}{{- $_ := set $blobs "Prefix" . -}}{{- end -}}
{{- $_ := set $settings "Storage" (dict "AzureBlobs" $blobs) -}}
{{- else -}}
{{- $_ := set $settings "Storage" (dict "FileSystem" (dict "Root" "/var/lib/registry")) -}}
{{- end -}}

{{- if .Values.redis.deploy -}}
{{- $_ := set $settings "Redis" (dict "Configuration" (printf "%s-redis:6379" (include "registry.fullname" .))) -}}
{{- end -}}

{{- if $auth.allowAnonymous -}}{{- $_ := set $settings.Auth "AllowAnonymous" true -}}{{- end -}}
{{- if $auth.robots -}}{{- $_ := set $settings.Auth "Robots" true -}}{{- end -}}
{{- if include "registry.htpasswdSecret" . -}}
{{- $_ := set $settings.Auth "Htpasswd" "/etc/oci-registry-users/htpasswd" -}}
{{- end -}}
{{- if include "registry.policies" . -}}
{{- $_ := set $settings.Auth "PolicyFile" "/etc/oci-registry-policies/policies.json" -}}
{{- end -}}
{{- if $auth.clientCertificates.existingSecret -}}
{{- $_ := set $settings.Auth "ClientCertificates" (dict "Authority" "/etc/oci-registry-client-ca/ca.crt") -}}
{{- end -}}
{{- $issuers := list -}}
{{- range $auth.issuers -}}
{{- $issuer := dict -}}
{{- range $key, $value := . -}}{{- $_ := set $issuer (printf "%s%s" (substr 0 1 $key | upper) (substr 1 -1 $key)) $value -}}{{- end -}}
{{- $issuers = append $issuers $issuer -}}
{{- end -}}
{{- with $issuers -}}{{- $_ := set $settings.Auth "Issuers" . -}}{{- end -}}
{{- $tokens := dict "Enabled" $auth.tokens.enabled "Service" $auth.tokens.service -}}
{{- with $auth.tokens.realm -}}{{- $_ := set $tokens "Realm" . -}}{{- end -}}
{{- if include "registry.signingKeysSecret" . -}}
{{- $_ := set $tokens "SigningKeys" "/etc/oci-registry-signing-keys/signing-keys.pem" -}}
{{- end -}}
{{- $_ := set $settings.Auth "Tokens" $tokens -}}

{{- $upstreams := list -}}
{{- range $i, $upstream := .Values.pullThrough.upstreams -}}
{{- $own := dict "Prefix" .prefix "Url" .url -}}
{{- if .credentialsSecret -}}{{- $_ := set $own "PasswordFile" (printf "/etc/oci-registry-upstreams/%d/password" $i) -}}{{- end -}}
{{- $upstreams = append $upstreams (merge $own (default dict .settings)) -}}
{{- end -}}
{{- with $upstreams -}}{{- $_ := set $settings "PullThrough" (dict "Upstreams" .) -}}{{- end -}}
{{- with .Values.trustedProxies -}}{{- $_ := set $settings "Proxies" . -}}{{- end -}}
{{- $_ := set $settings "Drain" (dict
      "Announce" (include "registry.time" .Values.drain.announceSeconds)
      "Deadline" (include "registry.time" .Values.drain.deadlineSeconds)) -}}
{{- mergeOverwrite $settings (deepCopy .Values.config) | toJson -}}
{{- end -}}

{{- define "registry.appsettings" -}}
{{- $logging := dict "LogLevel" .Values.logging.level -}}
{{- if .Values.logging.json -}}{{- $_ := set $logging "Console" (dict "FormatterName" "json") -}}{{- end -}}
{{- dict "OciRegistry" (include "registry.settings" . | fromJson) "Logging" $logging | toPrettyJson -}}
{{- end -}}

{{/* Settings that count without a restart when their file changes, as do all levels of the log: by path, in lower case. */}}
{{- define "registry.reloadedSettings" -}}
auth:auditpulls auth:failedlogindelay auth:maxfailedlogins deletes:enabled deletes:referenced limits:peraddress limits:persubject listings:maxpagesize
manifests:acceptfallback manifests:maxsize manifests:references readonly uploads:interimresponses uploads:maxblobsize
{{- end -}}

{{/* All that the registry reads once, at its start: a line for each. */}}
{{- define "registry.restartSettings" -}}
{{- $reloaded := include "registry.reloadedSettings" . | replace "\n" " " | splitList " " -}}
{{- range include "registry.settingLines" (dict "settings" (include "registry.settings" . | fromJson) "prefix" "") | splitList "\n" | sortAlpha -}}
{{- if not (has (splitList " " . | first) $reloaded) }}
{{ . }}
{{- end -}}
{{- end }}
logging:json {{ .Values.logging.json }}
{{- end -}}

{{/* Each setting with its value, in lower case, since the registry takes either: a line for each. */}}
{{- define "registry.settingLines" -}}
{{- $prefix := .prefix -}}
{{- range $key, $value := .settings -}}
{{- $path := printf "%s%s" $prefix (lower $key) -}}
{{- if kindIs "map" $value -}}
{{- include "registry.settingLines" (dict "settings" $value "prefix" (printf "%s:" $path)) -}}
{{- else }}
{{ $path }} {{ toJson $value }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "registry.policyFile" -}}
{{- dict "groups" .Values.auth.groups "policies" .Values.auth.policies | toPrettyJson -}}
{{- end -}}

{{/* The paths of all settings in "config", in lower case, since the registry takes either: a line for each. */}}
{{- define "registry.configPaths" -}}
{{- $prefix := .prefix -}}
{{- range $key, $value := .config -}}
{{- $path := printf "%s%s" $prefix (lower $key) }}
{{ $path }}
{{- if kindIs "map" $value -}}
{{- include "registry.configPaths" (dict "config" $value "prefix" (printf "%s:" $path)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
