#!/usr/bin/env bash
# Runs the conformance checks against this server on empty storage:
#   (a) our own black-box runner, always;
#   (b) the official suite in both profiles, when OCI_CONFORMANCE names its binary.
# Leaves JUnit files and logs in conformance/results. Exit code 0 only when nothing failed and nothing was skipped.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
results=$here/results
server=
work=$(mktemp -d)
failed=0

cleanup() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT

# start NAME [SETTING ...]: a server on a free port and empty storage; sets $url
start() {
  local name=$1
  shift
  [ -z "$server" ] || { kill "$server" && wait "$server" 2>/dev/null; } || true
  "$root/.artifacts/bin/OciRegistry.Server/debug/OciRegistry.Server" --urls http://127.0.0.1:0 \
    --OciRegistry:Storage:FileSystem:Root="$work/$name" "$@" >"$results/server-$name.log" 2>&1 </dev/null &
  server=$!
  for _ in $(seq 100); do
    url=$(grep -o 'http://127\.0\.0\.1:[0-9]*' "$results/server-$name.log" | head -n 1 || true)
    [ -z "$url" ] || ! curl -fsS -o /dev/null "$url/v2/" 2>/dev/null || return 0
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
  done
  echo "The server did not start:" >&2
  cat "$results/server-$name.log" >&2
  exit 1
}

# official NAME OCI_VERSION [VARIABLE=VALUE ...]: 0 FAIL, 0 Skip, and results that were written now
official() {
  local name=$1 version=$2 out=$results/official-$1
  shift 2
  rm -rf "$out" && mkdir -p "$out"
  (cd "$out" && env OCI_REGISTRY="${url#http://}" OCI_TLS=disabled OCI_VERSION="$version" OCI_RESULTS_DIR="$out" \
    OCI_REPO1=conformance/repo1 OCI_REPO2=conformance/repo2 "$@" "$OCI_CONFORMANCE" >stdout.txt 2>stderr.txt) || true
  local counts
  counts=$(sed -n '/^OCI Conformance Result:/,/Total/p' "$out/stdout.txt" | tr -s ' .\n' ' ')
  echo "official suite, $name: ${counts:-no result}"
  if [ ! -s "$out/results.yaml" ] || ! grep -Eq 'Skip: 0 .*FAIL: 0 .*Error: 0 ' <<<"$counts"; then
    grep 'failed test' "$out/stderr.txt" >&2 || tail -n 3 "$out/stderr.txt" >&2
    failed=1
  fi
}

mkdir -p "$results"
dotnet build "$root/src/OciRegistry.Server" -v q -nologo >/dev/null
dotnet build "$here/OciRegistry.Conformance" -v q -nologo >/dev/null

start own
"$root/.artifacts/bin/OciRegistry.Conformance/debug/OciRegistry.Conformance" --url "$url" --house \
  --junit "$results/own.xml" || failed=1

if [ -n "${OCI_CONFORMANCE:-}" ]; then
  start official-1.1
  official 1.1 1.1
  start official-dev --OciRegistry:Manifests:References=Off
  official dev dev OCI_DATA_SPARSE=true
fi

exit "$failed"
