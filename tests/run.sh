#!/usr/bin/env bash
# Runs the tests: ./tests/run.sh [all|fast|integration|stress|bench]. What each ring needs: tests/README.md.
# The last line is "N passed, N failed, N skipped"; the exit code is 0 only when nothing failed.
set -euo pipefail
exec </dev/null
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# What the integration ring drives, and the package of Debian that each program is in.
declare -A packages=(
  [dockerd]=docker.io [podman]=podman [buildah]=buildah [skopeo]=skopeo [umoci]=umoci [containerd]=containerd
  [mkfs.ext4]=e2fsprogs [mkfs.xfs]=xfsprogs
  [docker-registry]=docker-registry [redis-server]=redis-server [strace]=strace [curl]=curl [ss]=iproute2 [npm]=npm
  [haproxy]=haproxy [runc]=runc [faketime]=faketime [promtool]=prometheus
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

# Go and the types of Kubernetes, into which the charts' renders are decoded. Debian has them since 13.
install_kubernetes_types() {
  local types=usr/share/gocode/src/k8s.io/api unpacked=tests/.tools/debian
  [[ ! -d $unpacked/$types ]] || return 0
  [[ ! -d /$types ]] || ! compgen -G '/usr/lib/go-1.*/bin/go' >/dev/null || return 0
  install_later trixie "$unpacked" golang golang-go golang-k8s-api-dev
}

# Clients that choose HTTP/2 over TLS by themselves. Debian has both since 14.
install_later_clients() {
  local unpacked=tests/.tools/forky
  [[ ! -d $unpacked/usr/bin ]] || return 0
  ! command -v oras >/dev/null || ! command -v crane >/dev/null || return 0
  install_later forky "$unpacked" 'oras|crane' oras crane
}

# install_later SUITE FOLDER NAMES PACKAGE...: packages that only a later Debian has. On an older one those whose names begin so
# are unpacked from that one's mirror into a folder of ours, and the system is not touched.
install_later() {
  local suite=$1 unpacked=$2 names=$3 needed=("${@:4}") sudo=() mirror work apt
  command -v apt-get >/dev/null || { echo "Not installed, so their tests are skipped: ${needed[*]}"; return 0; }
  [[ $(id -u) -eq 0 ]] || sudo=(sudo)
  echo "== installing ${needed[*]}"
  "${sudo[@]}" apt-get -qq update
  if apt-cache show "${needed[-1]}" >/dev/null 2>&1; then
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${needed[@]}" >"$log" 2>&1 ||
      { cat "$log"; exit 1; }
    return
  fi

  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Component: main' | head -n 1)
  [[ -n $mirror ]] || { echo "Not to be had here, so their tests are skipped: ${needed[*]}"; return 0; }
  work=$(mktemp -d)
  mkdir -p "$work"/{lists/partial,archives/partial,root}
  : >"$work/nothing" # is installed: all that they need is fetched
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$work/sources.list"
  apt=(apt-get -qq -o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=/dev/null -o "Dir::State::lists=$work/lists"
    -o "Dir::State::status=$work/nothing" -o "Dir::Cache::archives=$work/archives" -o "Dir::Cache::pkgcache=" -o "Dir::Cache::srcpkgcache="
    -o Debug::NoLocking=1 -o Acquire::Languages=none)
  { "${apt[@]}" update && "${apt[@]}" install -y --no-install-recommends --download-only "${needed[@]}" &&
    find "$work/archives" -regextype posix-extended -regex ".*/($names)[^/]*\.deb" -print0 |
    xargs -0 -I{} dpkg-deb --extract {} "$work/root"; } >"$log" 2>&1 || { cat "$log"; exit 1; }
  mkdir -p "$(dirname "$unpacked")"
  mv "$work/root" "$unpacked"
  rm -rf "$work"
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

# More threads than processors: many tests wait for what is to happen. In memory, where there is room: syncs of files to a disk
# are a third of the time; the other rings have them.
fast() {
  local memory=/dev/shm folder free
  free=$(df --output=avail --block-size=1M "$memory" 2>/dev/null | tail -n 1)
  [[ ${free:-0} -gt 4000 && -w $memory ]] || memory=${TMPDIR:-/tmp}
  folder=$(mktemp --directory "$memory/oci-registry-tests-XXXXXX")
  TMPDIR=$folder ring fast .artifacts/bin/OciRegistry.Tests/debug/OciRegistry.Tests --no-ansi --no-progress \
    --max-threads "$(($(nproc) * 3 / 2))"
  rm -rf "$folder"
}

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
  all) require_sdk; install_tools; install_kubernetes_types; install_later_clients; build; fast; blocks; integration; conformance ;;
  fast) require_sdk; build; fast ;;
  integration) require_sdk; install_tools; install_kubernetes_types; install_later_clients; build; integration ;;
  stress) require_sdk; install_tools; install_kubernetes_types; install_later_clients; export OCI_REGISTRY_TESTS=stress; build; fast; blocks; integration ;;
  bench) require_sdk; exec dotnet run -c Release --project tests/OciRegistry.Benchmarks -- "${@:2}" ;;
  *) echo "usage: tests/run.sh [all|fast|integration|stress|bench]" >&2; exit 2 ;;
esac

echo "$passed passed, $failed failed, $skipped skipped"
[[ $failed -eq 0 ]]
