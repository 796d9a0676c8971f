#!/usr/bin/env bash
# Runs the tests: ./tests/run.sh [all|fast|integration|stress|bench]. What each ring needs: tests/README.md.
# The last line is "N passed, N failed, N skipped"; the exit code is 0 only when nothing failed.
set -euo pipefail
exec </dev/null
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# What the integration ring drives, and the package of Debian that each program is in.
declare -A packages=(
  [dockerd]=docker.io [podman]=podman [buildah]=buildah [skopeo]=skopeo [umoci]=umoci [containerd]=containerd
  [docker-registry]=docker-registry [redis-server]=redis-server [strace]=strace [curl]=curl [ss]=iproute2 [npm]=npm
  [haproxy]=haproxy [runc]=runc [promtool]=prometheus
)
azurite=azurite@3.35.0 # the last one for the Node.js of Debian
passed=0 failed=0 skipped=0

# No build server stays behind.
export MSBUILDDISABLENODEREUSE=1 UseSharedCompilation=false DOTNET_CLI_USE_MSBUILD_SERVER=0 DOTNET_NOLOGO=1
PATH=$PATH:/usr/sbin:/sbin
log=$(mktemp)
trap 'rm -f "$log"' EXIT

require_sdk() {
  [[ $'\n'$(dotnet --list-sdks 2>/dev/null || true) == *$'\n10.'* ]] && return
  echo "The .NET 10 SDK is missing: see https://dotnet.microsoft.com/download/dotnet/10.0" >&2
  exit 1
}

# The clients that the integration ring drives. Nothing is asked of the network when all are there.
install_tools() {
  local tool missing=() sudo=()
  for tool in "${!packages[@]}"; do
    command -v "$tool" >/dev/null || missing+=("${packages[$tool]}") # npm may be another packager's, which excludes Debian's
  done
  [[ $(id -u) -eq 0 ]] || sudo=(sudo)
  if [[ ${#missing[@]} -gt 0 ]]; then
    if ! command -v apt-get >/dev/null; then
      echo "Not installed, so their tests are skipped: ${missing[*]}"
      return 0
    fi
    echo "== installing ${missing[*]}"
    "${sudo[@]}" apt-get -qq update
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${missing[@]}" >"$log" 2>&1 ||
      { cat "$log"; exit 1; }
  fi
  command -v azurite-blob >/dev/null && return
  echo "== installing $azurite"
  "${sudo[@]}" npm install --global --no-audit --no-fund "$azurite" >"$log" 2>&1 || { cat "$log"; exit 1; }
}

build() {
  echo "== build"
  dotnet build Registry.sln -v quiet
}

# ring NAME COMMAND...: runs the command and adds up the counts that it prints
ring() {
  local name=$1 status=0 counts
  shift
  echo "== $name"
  "$@" 2>&1 | tee "$log" || status=$?
  read -ra counts < <(awk '
    /^Test run summary:/ { summary = 1 }
    summary && /^ *succeeded:/ { passed += $2 }
    summary && /^ *failed:/ { failed += $2 }
    summary && /^ *skipped:/ { skipped += $2 }
    /^[0-9]+ passed, [0-9]+ failed/ { passed += $1; failed += $3; skipped += $5 }
    END { print passed + 0, failed + 0, skipped + 0 }' "$log")
  [[ $status -eq 0 || ${counts[1]} -gt 0 ]] || counts[1]=1 # ended without a word: that is a failure too
  echo "$name: ${counts[0]} passed, ${counts[1]} failed, ${counts[2]} skipped"
  passed=$((passed + counts[0])) failed=$((failed + counts[1])) skipped=$((skipped + counts[2]))
}

# More threads than processors: many tests wait for a disk or for what is to happen.
fast() { ring fast .artifacts/bin/OciRegistry.Tests/debug/OciRegistry.Tests --no-ansi --no-progress --max-threads "$(($(nproc) * 3 / 2))"; }

# The faults and guarantees once more, with uploads that are staged as object stores do it.
blocks() {
  OCI_REGISTRY_TESTS_STAGING=blocks ring "fast, staged in blocks" .artifacts/bin/OciRegistry.Tests/debug/OciRegistry.Tests \
    --no-ansi --no-progress --filter-namespace '*.Faults' '*.Guarantees' --filter-not-trait staging=files
}

integration() {
  local tests=.artifacts/bin/OciRegistry.IntegrationTests/debug/OciRegistry.IntegrationTests
  ring integration "$tests" --no-ansi --no-progress
  OCI_REGISTRY_TESTS_STORAGE=azure ring "clients over Azure and Redis" "$tests" --no-ansi --no-progress --filter-namespace '*.Clients'
}

conformance() {
  ring conformance ./conformance/run.sh
  ring "conformance over Azure and Redis" ./conformance/run.sh azure
  ring "conformance with Basic" ./conformance/run.sh folder basic
  ring "conformance with tokens" ./conformance/run.sh folder bearer
}

case ${1:-all} in
  all) require_sdk; install_tools; build; fast; blocks; integration; conformance ;;
  fast) require_sdk; build; fast ;;
  integration) require_sdk; install_tools; build; integration ;;
  stress) require_sdk; install_tools; export OCI_REGISTRY_TESTS=stress; build; fast; blocks; integration ;;
  bench) require_sdk; exec dotnet run -c Release --project tests/OciRegistry.Benchmarks -- "${@:2}" ;;
  *) echo "usage: tests/run.sh [all|fast|integration|stress|bench]" >&2; exit 2 ;;
esac

echo "$passed passed, $failed failed, $skipped skipped"
[[ $failed -eq 0 ]]
