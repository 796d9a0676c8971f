#!/usr/bin/env bash
# Renders the charts' goldens anew: ./charts/render.sh, with Helm 3.16 or later as $HELM or on the PATH.
# For each file of values in CHART/ci it lints, and writes what it renders to CHART/ci/golden, with the notes; for each in
# CHART/ci/illegal, what it is refused with. CHART/ci/golden/SHA256SUMS then tells, to a test that has no Helm, whether the
# goldens are those of the chart. Review them as you review code: git diff charts.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
export LC_ALL=C HELM_CACHE_HOME HELM_CONFIG_HOME HELM_DATA_HOME KUBECONFIG=/dev/null
helm=${HELM:-helm}
command -v "$helm" >/dev/null || { echo "There is no $helm. Install Helm (https://helm.sh/docs/intro/install), or say where it is: HELM=/path/to/helm" >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
HELM_CACHE_HOME=$work/cache HELM_CONFIG_HOME=$work/config HELM_DATA_HOME=$work/data # nobody's own plugins and settings

render() { "$helm" template example "$1" --namespace registries --values "$2" "${@:3}"; }

# `helm template` shows no notes, so that a copy of the chart has them as an object.
with_notes() {
  cp -R "$1" "$work/$1"
  { echo '{{- define "notes" -}}'; cat "$1/templates/NOTES.txt"; echo '{{- end -}}'; } >"$work/$1/templates/_notes.tpl"
  printf 'notes: |\n{{ include "notes" . | indent 2 }}\n' >"$work/$1/templates/notes.yaml"
}

for chart in */Chart.yaml; do
  chart=$(dirname "$chart")
  golden=$chart/ci/golden
  rm -rf "$golden"
  mkdir -p "$golden/illegal"
  with_notes "$chart"

  for values in "$chart"/ci/*-values.yaml; do
    name=$(basename "$values" -values.yaml)
    "$helm" lint --strict --quiet "$chart" --values "$values" >"$work/lint" 2>&1 || { cat "$work/lint" >&2; exit 1; }
    render "$chart" "$values" >"$golden/$name.yaml"
    render "$work/$chart" "$values" --show-only templates/notes.yaml | sed '1,/^notes:/d; s/^  //' >"$golden/$name-notes.txt"
    echo "$values: rendered"
  done

  for values in "$chart"/ci/illegal/*.yaml; do
    name=$(basename "$values" .yaml)
    ! render "$chart" "$values" >"$work/refused" 2>&1 || { echo "$values is rendered, and should be refused" >&2; exit 1; }
    [[ $name != schema-* ]] || sort -o "$work/refused" "$work/refused" # Helm has no order for these
    cp "$work/refused" "$golden/illegal/$name.txt"
    echo "$values: refused"
  done

  "$helm" package "$chart" --destination "$work" >/dev/null
  ! tar -tf "$work/$chart"-*.tgz | grep -q "^$chart/ci/" || { echo "The package has the folder ci: see $chart/.helmignore" >&2; exit 1; }

  # All that is rendered from, and all that was: but not what is only read by people.
  (
    cd "$chart"
    echo "# $("$helm" version --template '{{ .Version }}'); renewed by charts/render.sh"
    find . -type f ! -name README.md ! -name SHA256SUMS -print0 | sort -z | xargs -0 sha256sum
  ) >"$work/sums"
  mv "$work/sums" "$golden/SHA256SUMS"
done
