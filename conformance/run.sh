#!/usr/bin/env bash
# Runs the conformance checks against this server on empty storage: ./conformance/run.sh [folder|azure] [open|basic|bearer]
# (azure: over Azurite, with Redis, which must be installed; basic, bearer: as a user, by name and password or by tokens)
#   (a) our own black-box runner, always;
#   (b) the official suite in both profiles, when OCI_CONFORMANCE names its binary; by tokens also without keeping them;
#   (c) the official suites of v1.1 and v1.0, when OCI_CONFORMANCE_V11 and OCI_CONFORMANCE_V10 name their binaries.
# Leaves JUnit files and logs in conformance/results. Exit code 0 only when nothing failed and nothing was skipped.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
results=$here/results
storage=${1:-folder}
access=${2:-open}
server=
others=()
work=$(mktemp -d)
failed=0

cleanup() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  [ ${#others[@]} -eq 0 ] || kill "${others[@]}" 2>/dev/null || true
  wait # until nobody writes to what is deleted
  rm -rf "$work"
}
trap cleanup EXIT

# launch PORT COMMAND...: a server that others need, and waits until it listens
launch() {
  local port=$1
  shift
  "$@" >"$results/$(basename "$1").log" 2>&1 </dev/null &
  others+=($!)
  for _ in $(seq 100); do
    ! (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null || return 0
    sleep 0.1
  done
  echo "$1 does not listen on port $port" >&2
  exit 1
}

# The settings of a storage that nobody has used, as the words of $settings.
empty_storage() {
  if [ "$storage" = folder ]; then
    settings=(--OciRegistry:Storage:FileSystem:Root="$work/$1")
    return
  fi
  # The emulator's account and key are everybody's.
  settings=(
    "--OciRegistry:Storage:AzureBlobs:ServiceUri=http://127.0.0.1:$azurite/devstoreaccount1"
    --OciRegistry:Storage:AzureBlobs:AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==
    "--OciRegistry:Storage:AzureBlobs:Container=${1//./-}"
    --OciRegistry:Storage:AzureBlobs:Prefix=images
    "--OciRegistry:Redis:Configuration=127.0.0.1:$redis"
  )
}

# The settings of a server with one user, who may do everything, as the words of $accounts; and what our runner ($credentials)
# and the official suite ($login) take to be him.
with_accounts() {
  accounts=() credentials=() login=()
  case $access in
    open) return ;;
    basic) accounts=(--OciRegistry:Auth:Tokens:Enabled=false) ;;
    bearer) accounts=(--OciRegistry:Auth:Basic=false) ;;
    *) echo "usage: conformance/run.sh [folder|azure] [open|basic|bearer]" >&2; exit 2 ;;
  esac
  # The password is its name, by bcrypt.
  echo 'conformance:$2b$04$//DYyrgjMLG2izHPwhtOUuXpC7DJIDBxBzSeLnsaKqEXqQEtjUDSi' >"$work/htpasswd"
  accounts+=(
    --OciRegistry:Auth:Htpasswd="$work/htpasswd"
    --OciRegistry:Auth:Policies:0:Subjects:0=user:conformance
    --OciRegistry:Auth:Policies:0:Repositories:0='**'
    --OciRegistry:Auth:Policies:0:Actions:0=pull
    --OciRegistry:Auth:Policies:0:Actions:1=push
    --OciRegistry:Auth:Policies:0:Actions:2=delete
  )
  credentials=(--username conformance --password conformance)
  login=(OCI_USERNAME=conformance OCI_PASSWORD=conformance)
}

# start NAME [SETTING ...]: a server on a free port and empty storage; sets $url
start() {
  local name=$1
  shift
  [ -z "$server" ] || { kill "$server" && wait "$server" 2>/dev/null; } || true
  empty_storage "$name"
  "$root/.artifacts/bin/OciRegistry.Server/debug/OciRegistry.Server" --urls http://127.0.0.1:0 \
    "${settings[@]}" "${accounts[@]}" "$@" >"$results/server-$name.log" 2>&1 </dev/null &
  server=$!
  for _ in $(seq 100); do
    url=$(sed -n 's/^Listening on //p' "$results/server-$name.log" | head -n 1)
    [[ -z "$url" || ! $(curl -sS -o /dev/null -w '%{http_code}' "$url/v2/" 2>/dev/null) =~ 200|401 ]] || return 0
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
  done
  echo "The server did not start:" >&2
  cat "$results/server-$name.log" >&2
  exit 1
}

# official NAME OCI_VERSION [VARIABLE=VALUE ...]: 0 FAIL, $skips Skip, and results that were written now
skips=0
official() {
  local name=$1 version=$2 out=$results/official-$1
  shift 2
  rm -rf "$out" && mkdir -p "$out"
  (cd "$out" && env OCI_REGISTRY="${url#http://}" OCI_TLS=disabled OCI_VERSION="$version" OCI_RESULTS_DIR="$out" \
    OCI_REPO1=conformance/repo1 OCI_REPO2=conformance/repo2 "${login[@]}" "$@" "$OCI_CONFORMANCE" >stdout.txt 2>stderr.txt) || true
  local counts
  counts=$(sed -n '/^OCI Conformance Result:/,/Total/p' "$out/stdout.txt" | tr -s ' .\n' ' ' | sed 's/ :/:/g')
  echo "official suite, $name: ${counts:-no result}"
  if [ ! -s "$out/results.yaml" ] || ! grep -Eq "Skip: $skips .*FAIL: 0 .*Error: 0 " <<<"$counts"; then
    grep 'failed test' "$out/stderr.txt" >&2 || tail -n 3 "$out/stderr.txt" >&2
    failed=1
  fi
}

# former NAME BINARY [VARIABLE=VALUE ...]: the suite of a former specification, which is a test program of Ginkgo
former() {
  local name=$1 binary=$2 out=$results/official-$1
  shift 2
  rm -rf "$out" && mkdir -p "$out"
  (cd "$out" && env OCI_ROOT_URL="$url" OCI_NAMESPACE=conformance/repo1 OCI_CROSSMOUNT_NAMESPACE=conformance/repo2 OCI_REPORT_DIR="$out" \
    OCI_TEST_PULL=1 OCI_TEST_PUSH=1 OCI_TEST_CONTENT_DISCOVERY=1 OCI_TEST_CONTENT_MANAGEMENT=1 "${login[@]}" "$@" \
    "$binary" >stdout.txt 2>stderr.txt) || true
  local counts
  counts=$(sed 's/\x1b\[[0-9;]*m//g' "$out/stdout.txt" | grep -E '[0-9]+ Passed \| [0-9]+ Failed' | tail -n 1)
  echo "official suite, $name: ${counts:-no result}"
  if ! grep -q ' 0 Failed ' <<<"$counts"; then
    sed 's/\x1b\[[0-9;]*m//g' "$out/stdout.txt" | grep -F '[Fail]' >&2 || tail -n 3 "$out/stderr.txt" >&2
    failed=1
  fi
}

with_accounts
mkdir -p "$results"
dotnet build "$root/src/OciRegistry.Server" -v q -nologo >/dev/null
dotnet build "$here/OciRegistry.Conformance" -v q -nologo >/dev/null

if [ "$storage" = azure ]; then
  free_ports() { comm -23 <(seq 20000 30000 | sort) <(ss -Htan | awk '{ sub(/.*:/, "", $4); print $4 }' | sort -u) | shuf -n 2; }
  { read -r azurite; read -r redis; } < <(free_ports)
  launch "$azurite" azurite-blob --blobHost 127.0.0.1 --blobPort "$azurite" --location "$work/azurite" --silent \
    --skipApiVersionCheck --disableTelemetry
  launch "$redis" redis-server --port "$redis" --bind 127.0.0.1 --save "" --appendonly no
fi

start own
"$root/.artifacts/bin/OciRegistry.Conformance/debug/OciRegistry.Conformance" --url "$url" --house \
  "${credentials[@]}" --junit "$results/own.xml" || failed=1

if [ -n "${OCI_CONFORMANCE:-}" ]; then
  start official-1.1
  official 1.1 1.1
  start official-dev --OciRegistry:Manifests:References=Off
  official dev dev OCI_DATA_SPARSE=true
  if [ "$access" = bearer ]; then
    # Each request with the token that its own challenge names, which lets nobody pull from any other repository: the two mounts
    # without from= are 202.
    start official-no-cache
    skips=2 official no-cache 1.1 OCI_CACHE_AUTH=false
  fi
fi

if [ -n "${OCI_CONFORMANCE_V11:-}" ]; then
  start official-v1.1
  former v1.1 "$OCI_CONFORMANCE_V11" OCI_AUTOMATIC_CROSSMOUNT=1
fi

if [ -n "${OCI_CONFORMANCE_V10:-}" ]; then
  start official-v1.0
  former v1.0 "$OCI_CONFORMANCE_V10"
fi

exit "$failed"
