{{/*
What contradicts itself, or could not work. All of it is told at once, each in a sentence that names the remedy; what a
single value may be is for values.schema.json to say, which Helm asks first.
*/}}
{{- define "registry.check" -}}
{{- $problems := include "registry.problems" . | trim -}}
{{- if $problems -}}
{{- fail (printf "\n\nThese values cannot work:\n%s\n" $problems) -}}
{{- end -}}
{{- end -}}

{{- define "registry.problems" -}}
{{- include "registry.problems.replicas" . }}
{{- include "registry.problems.azure" . }}
{{- include "registry.problems.redis" . }}
{{- include "registry.problems.auth" . }}
{{- include "registry.problems.network" . }}
{{- include "registry.problems.operation" . }}
{{- include "registry.problems.config" . }}
{{- end -}}

{{- define "registry.problems.replicas" -}}
{{- $most := int (include "registry.mostReplicas" .) }}
{{- $why := ternary "autoscaling.maxReplicas" "replicas" .Values.autoscaling.enabled }}
{{- if gt $most 1 }}
{{- if and (eq .Values.storage.type "filesystem") (ne .Values.storage.filesystem.accessMode "ReadWriteMany") }}
* {{ $why }} is {{ $most }}, but a volume that is {{ .Values.storage.filesystem.accessMode }} is for one replica. Set storage.filesystem.accessMode to ReadWriteMany, with a storageClassName that can do that, or storage.type to azure, or {{ $why }} to 1.
{{- end }}
{{- if not (include "registry.hasRedis" .) }}
* {{ $why }} is {{ $most }}, but there is no Redis in which requests on different replicas wait for each other. Set redis.configuration or redis.existingSecret.name, or redis.deploy=true to try it out.
{{- end }}
{{- end }}
{{- with .Values.autoscaling }}
{{- if .enabled }}
{{- if gt (int .minReplicas) (int .maxReplicas) }}
* autoscaling.minReplicas is {{ .minReplicas }}, more than autoscaling.maxReplicas, which is {{ .maxReplicas }}. Lower it.
{{- end }}
{{- if and (kindIs "invalid" .targetCPUUtilizationPercentage) (kindIs "invalid" .targetMemoryUtilizationPercentage) }}
* autoscaling has nothing to go by. Set autoscaling.targetCPUUtilizationPercentage or autoscaling.targetMemoryUtilizationPercentage.
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.podDisruptionBudget }}
{{- if .enabled }}
{{- $fewest := int (ternary $.Values.autoscaling.minReplicas $.Values.replicas $.Values.autoscaling.enabled) }}
{{- $kept := toString .minAvailable }}
{{- $none := ternary (has (toString .maxUnavailable) (list "0" "0%")) (or (eq $kept "100%") (and (not (hasSuffix "%" $kept)) (ge (int $kept) $fewest))) (kindIs "invalid" .minAvailable) }}
{{- if $none }}
* podDisruptionBudget lets no pod be evicted, so that no node could ever be emptied. Set podDisruptionBudget.maxUnavailable to 1 without minAvailable, or have more replicas.
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "registry.problems.azure" -}}
{{- $azure := .Values.storage.azure }}
{{- $existing := $azure.existingSecret }}
{{- $string := or $azure.connectionString $existing.connectionStringKey }}
{{- $key := or $azure.accountKey $existing.accountKeyKey }}
{{- if eq .Values.storage.type "azure" }}
{{- if not (or $azure.serviceUri $string) }}
* storage.type is azure, but there is no address. Set storage.azure.serviceUri to https://ACCOUNT.blob.core.windows.net, or storage.azure.connectionString.
{{- end }}
{{- if and $azure.serviceUri $string }}
* storage.azure has a serviceUri and a connection string, which has the address as well. Leave one of them out.
{{- end }}
{{- if and $string $key }}
* storage.azure has an account key and a connection string, which has the key as well. Leave one of them out.
{{- end }}
{{- if not (or $string $key $azure.workloadIdentity.enabled (contains "sig=" $azure.serviceUri)) }}
* storage.azure has no credentials. Set storage.azure.workloadIdentity.enabled=true with a clientId, or accountKey, connectionString or existingSecret.
{{- end }}
{{- if and $azure.workloadIdentity.enabled (or $string $key) }}
* storage.azure has workloadIdentity.enabled and a key or connection string as well. Leave one of them out.
{{- end }}
{{- else if or $azure.serviceUri $string $key $azure.workloadIdentity.enabled }}
* storage.azure is set, but storage.type is {{ .Values.storage.type }}. Set storage.type=azure, or leave storage.azure out.
{{- end }}
{{- if and $existing.name (or $azure.connectionString $azure.accountKey) }}
* storage.azure.existingSecret and an inline connectionString or accountKey are both set. Leave one of them out.
{{- end }}
{{- if and $existing.name (not (or $existing.connectionStringKey $existing.accountKeyKey)) }}
* storage.azure.existingSecret names a Secret, but no key in it. Set storage.azure.existingSecret.connectionStringKey or accountKeyKey.
{{- end }}
{{- if and (not $existing.name) (or $existing.connectionStringKey $existing.accountKeyKey) }}
* storage.azure.existingSecret names a key, but no Secret. Set storage.azure.existingSecret.name.
{{- end }}
{{- with $azure.workloadIdentity }}
{{- if and .enabled $.Values.serviceAccount.create (not .clientId) }}
* storage.azure.workloadIdentity has no clientId for the ServiceAccount. Set storage.azure.workloadIdentity.clientId to that of the managed identity.
{{- end }}
{{- if and .enabled (not $.Values.serviceAccount.create) (not $.Values.serviceAccount.name) }}
* storage.azure.workloadIdentity is enabled, but pods would run as the ServiceAccount "default". Set serviceAccount.create=true, or serviceAccount.name to one with the annotation azure.workload.identity/client-id.
{{- end }}
{{- end }}
{{- end -}}

{{- define "registry.problems.redis" -}}
{{- with .Values.redis }}
{{- if and .deploy (or .configuration .existingSecret.name) }}
* redis.deploy and a Redis elsewhere (redis.configuration, redis.existingSecret.name) are both set. All replicas must have the same one: leave one of them out.
{{- end }}
{{- if and .configuration .existingSecret.name }}
* redis.configuration and redis.existingSecret.name are both set. Leave one of them out.
{{- end }}
{{- end }}
{{- end -}}

{{- define "registry.problems.auth" -}}
{{- $auth := .Values.auth }}
{{- $hasAuth := include "registry.hasAuth" . }}
{{- if and (not $hasAuth) (not $auth.allowAnonymous) }}
* Nobody would have to log in. Set auth.htpasswd and auth.policies (the chart's README has an example), or auth.allowAnonymous=true if everybody who reaches it may push and delete.
{{- end }}
{{- if and $hasAuth $auth.allowAnonymous }}
* auth.allowAnonymous opens the registry to everybody, but there are other values of auth. Leave it out, and give the subject anonymous a policy for what everybody may do.
{{- end }}
{{- if and $auth.allowAnonymous (or .Values.ingress.enabled .Values.httpRoute.enabled) }}
* auth.allowAnonymous lets everybody push and delete, and {{ ternary "ingress" "httpRoute" .Values.ingress.enabled }} leads everybody there. Set auth.htpasswd, auth.issuers or auth.robots with auth.policies; give the subject anonymous a policy with the action pull.
{{- end }}
{{- if and (or (include "registry.htpasswdSecret" .) $auth.issuers $auth.clientCertificates.existingSecret) (not (include "registry.policies" .)) }}
* Who logs in may do nothing without a policy. Set auth.policies, or auth.existingPolicies.
{{- end }}
{{- if and $auth.policies $auth.existingPolicies }}
* auth.policies and auth.existingPolicies are both set. Leave one of them out.
{{- end }}
{{- if and $auth.groups (not $auth.policies) }}
* auth.groups are for auth.policies, of which there are none. Put both here, or both into the ConfigMap of auth.existingPolicies.
{{- end }}
{{- if and $auth.htpasswd.content $auth.htpasswd.existingSecret }}
* auth.htpasswd.content and auth.htpasswd.existingSecret are both set. Leave one of them out.
{{- end }}
{{- if and $auth.tokens.signingKeys $auth.tokens.existingSecret }}
* auth.tokens.signingKeys and auth.tokens.existingSecret are both set. Leave one of them out.
{{- end }}
{{- if and $hasAuth (not $auth.basic) (not $auth.tokens.enabled) (not $auth.issuers) (not $auth.clientCertificates.existingSecret) }}
* auth.basic and auth.tokens.enabled are both false: nobody can log in. Leave one of them out.
{{- end }}
{{- if and $auth.clientCertificates.existingSecret (not .Values.tls.enabled) }}
* auth.clientCertificates needs TLS in the registry itself. Set tls.enabled=true, and let what is before it pass TLS through.
{{- end }}
{{- end -}}

{{- define "registry.problems.network" -}}
{{- with .Values.trustedCertificates }}
{{- if and .configMap .secret }}
* trustedCertificates.configMap and trustedCertificates.secret are both set. Leave one of them out.
{{- end }}
{{- end }}
{{- with .Values.tls }}
{{- if and .existingSecret (or .certificate .key) }}
* tls.existingSecret and an inline certificate or key are both set. Leave one of them out.
{{- end }}
{{- if and .enabled (not .existingSecret) (not (and .certificate .key)) }}
* tls.enabled needs a certificate and its key. Set tls.existingSecret, or both tls.certificate and tls.key.
{{- end }}
{{- if and (not .enabled) (or .existingSecret .certificate .key) }}
* tls has a certificate, but is not enabled. Set tls.enabled=true; for a certificate of the Ingress set ingress.tls.
{{- end }}
{{- end }}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) }}
* ingress.enabled needs a host name. Set ingress.hosts.
{{- end }}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) }}
* httpRoute.enabled needs a Gateway. Set httpRoute.parentRefs.
{{- end }}
{{- if and .Values.httpRoute.enabled .Values.tls.enabled }}
* A Gateway speaks plain http to what an HTTPRoute leads to, but tls.enabled has the registry speak https. Let the Gateway have the certificate, and set tls.enabled=false.
{{- end }}
{{- if and (or .Values.ingress.enabled .Values.httpRoute.enabled) (not .Values.trustedProxies) }}
* All clients would have the address of the proxy: ten failed logins in a minute would shut out everybody, and clients would be sent to a /token that they cannot reach. Set trustedProxies to the network of the controller's pods, as [10.244.0.0/16] (kubectl get pods -A -o wide shows their addresses).
{{- end }}
{{- with .Values.service }}
{{- if and (eq .type "ClusterIP") (not (kindIs "invalid" .nodePort)) }}
* service.nodePort is set, but service.type is ClusterIP. Set service.type to NodePort or LoadBalancer.
{{- end }}
{{- if and (eq .type "ClusterIP") .externalTrafficPolicy }}
* service.externalTrafficPolicy is set, but service.type is ClusterIP. Set service.type to NodePort or LoadBalancer.
{{- end }}
{{- if and (ne .type "LoadBalancer") (or .loadBalancerClass .loadBalancerSourceRanges) }}
* service.loadBalancerClass or loadBalancerSourceRanges is set, but service.type is {{ .type }}. Set service.type to LoadBalancer.
{{- end }}
{{- end }}
{{- end -}}

{{- define "registry.problems.operation" -}}
{{- with .Values.drain }}
{{- $needed := add .announceSeconds .deadlineSeconds 15 }}
{{- if and (not (kindIs "invalid" .terminationGracePeriodSeconds)) (lt (int .terminationGracePeriodSeconds) (int $needed)) }}
* drain.terminationGracePeriodSeconds is {{ int .terminationGracePeriodSeconds }}: Kubernetes would kill pods that are still at work. Set it to {{ $needed }} or more (announceSeconds, deadlineSeconds and 15), or to null.
{{- end }}
{{- end }}
{{- with .Values.telemetry }}
{{- if and (not .otlpEndpoint) .headersSecret.name }}
* telemetry.headersSecret is for telemetry.otlpEndpoint, which is not set. Set it.
{{- end }}
{{- end }}
{{- end -}}

{{/* "config" is free, but what a value of the chart sets is said there. */}}
{{- define "registry.problems.config" -}}
{{- $values := dict
      "storage:filesystem" "storage.filesystem"
      "storage:azureblobs:connectionstring" "storage.azure.connectionString or existingSecret"
      "storage:azureblobs:accountkey" "storage.azure.accountKey or existingSecret"
      "storage:azureblobs:serviceuri" "storage.azure.serviceUri"
      "storage:azureblobs:container" "storage.azure.container"
      "storage:azureblobs:createcontainer" "storage.azure.createContainer"
      "storage:azureblobs:prefix" "storage.azure.prefix"
      "storage:azureblobs:redirect" "storage.azure.redirect"
      "redis:configuration" "redis.configuration or existingSecret"
      "auth:allowanonymous" "auth.allowAnonymous"
      "auth:basic" "auth.basic"
      "auth:robots" "auth.robots"
      "auth:htpasswd" "auth.htpasswd"
      "auth:issuers" "auth.issuers"
      "auth:clientcertificates" "auth.clientCertificates"
      "auth:policies" "auth.policies"
      "auth:policyfile" "auth.existingPolicies"
      "auth:tokens:enabled" "auth.tokens.enabled"
      "auth:tokens:service" "auth.tokens.service"
      "auth:tokens:realm" "auth.tokens.realm"
      "auth:tokens:signingkeys" "auth.tokens.signingKeys or existingSecret"
      "pullthrough:upstreams" "pullThrough.upstreams"
      "proxies" "trustedProxies"
      "operations:urls" "operations.port"
      "drain:announce" "drain.announceSeconds"
      "drain:deadline" "drain.deadlineSeconds" }}
{{- $paths := splitList "\n" (include "registry.configPaths" (dict "config" .Values.config "prefix" "")) }}
{{- range $path, $value := $values }}
{{- if has $path $paths }}
* config has {{ $path }}, which the chart sets. Set {{ $value }} instead.
{{- end }}
{{- end }}
{{- if has "logging" $paths }}
* config has logging, which is no setting of the section OciRegistry. Set logging.level and logging.json.
{{- end }}
{{- end -}}
