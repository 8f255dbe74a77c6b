{{- define "sallyport.name" -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "sallyport.selector" -}}
app.kubernetes.io/name: sallyport
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "sallyport.labels" -}}
{{ include "sallyport.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "sallyport.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- /* What cannot be right is refused here, with what to write. */ -}}
{{- define "sallyport.check" -}}
{{- if not .Values.publicURL -}}
{{- fail "publicURL is empty: give what clients see, as https://gateway.example; tokens are issued for it" -}}
{{- end -}}
{{- if and (not .Values.tls.secretName) (not .Values.tls.terminatedBefore) -}}
{{- fail "tokens would cross the network in the clear: give tls.secretName (a secret of type kubernetes.io/tls), or tls.terminatedBefore=true where an ingress or mesh before the gateway ends TLS" -}}
{{- end -}}
{{- if and .Values.tls.secretName .Values.tls.terminatedBefore -}}
{{- fail "tls.secretName and tls.terminatedBefore exclude each other: TLS ends in the gateway or before it" -}}
{{- end -}}
{{- range list "listen" "publicURL" "state" "policies" "tls" "behindTLS" "admin" -}}
{{- if hasKey $.Values.config . -}}
{{- fail (printf "config.%s is the chart's to say: use the values publicURL, tls, state and policies instead" .) -}}
{{- end -}}
{{- end -}}
{{- if eq .Values.form "sidecar" -}}
{{- if not .Values.sidecar.container.image -}}
{{- fail "form is sidecar, so sidecar.container must be the server's container: give at least its image" -}}
{{- end -}}
{{- if .Values.config.mcpServers -}}
{{- fail "form is sidecar, whose one server is sidecar.container: config.mcpServers has no place here, or use form gateway" -}}
{{- end -}}
{{- else if not .Values.config.mcpServers -}}
{{- fail "form is gateway and config.mcpServers is empty: name the servers, as {files: {type: http, url: http://files.tools.svc:9000/mcp}}" -}}
{{- end -}}
{{- end -}}

{{- /* sallyport.yaml: what the chart decides, and the operator's rest. */ -}}
{{- define "sallyport.config" -}}
{{- $own := dict "listen" "0.0.0.0:8080" "publicURL" .Values.publicURL "state" "/state/gateway" "policies" "/policies" "admin" (dict "listen" "0.0.0.0:8081") -}}
{{- if .Values.tls.secretName -}}
{{- $_ := set $own "tls" (dict "cert" "/tls/tls.crt" "key" "/tls/tls.key") -}}
{{- else -}}
{{- $_ := set $own "behindTLS" true -}}
{{- end -}}
{{- if eq .Values.form "sidecar" -}}
{{- $url := printf "http://127.0.0.1:%d%s" (int .Values.sidecar.port) .Values.sidecar.path -}}
{{- $_ := set $own "mcpServers" (dict .Values.sidecar.name (dict "type" "http" "url" $url)) -}}
{{- end -}}
{{- toYaml (mergeOverwrite (deepCopy .Values.config) $own) -}}
{{- end -}}

{{- /* The gateway reads nothing of the API server, writes nothing but its volumes, and has no right of root. */ -}}
{{- define "sallyport.locked" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end -}}
