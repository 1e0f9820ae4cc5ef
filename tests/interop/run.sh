#!/usr/bin/env bash
# run.sh: gRPC clients of other stacks against the bridge; see README.md.  SPDX-License-Identifier: Apache-2.0
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
build="$root/build/release" only='' keep=false
cache="${XDG_CACHE_HOME:-$HOME/.cache}/configstream-interop"
instance="interop-$$" work='' daemon='' bridge='' failed=0
rows=()

usage() {
    cat <<'TEXT'
Usage: tests/interop/run.sh [OPTION...]

  --build DIR   the tree with the programs (default: build/release)
  --only NAME   one client only: node, go-debian, go-newest or rust
  --keep        keep the directory with logs

A client whose tools or packages cannot be had here is SKIPPED with the reason; one that does not build has FAILED.
Exit status: 0 nothing failed, 1 a client failed, 2 usage.
TEXT
}

say() { printf '== %s\n' "$*"; }
die() { printf 'interop: %s\n' "$*" >&2; exit 1; }

tear_down() {
    [[ -z $bridge ]] || kill "$bridge" 2>/dev/null || true
    [[ -z $daemon ]] || kill "$daemon" 2>/dev/null || true
    wait
    if [[ -n $work ]]; then
        if $keep; then say "logs are in $work"; else rm -rf "$work"; fi
    fi
}

# ---- the bridge -------------------------------------------------------------------------------------------------------

until_log() {
    local give_up=$((SECONDS + 60))
    until grep -q "$2" "$1"; do
        ((SECONDS < give_up)) || { cat "$1" >&2; die "gave up waiting for '$2'"; }
        sleep 0.05
    done
}

start() {
    work=$(mktemp -d "${TMPDIR:-/tmp}/configstream-interop.XXXXXX")
    printf 'number: 0\ntext: some text\nlog_level: info\n' >"$work/defaults.yaml"
    : >"$work/main.yaml"
    # A short ring: who does not read for a burst is lapped.
    "$build/src/configstreamd" --instance "$instance" --defaults "$work/defaults.yaml" --config "$work/main.yaml" \
        --control "$work/control.sock" --ring-slots 1024 --unlink 2>"$work/daemon.log" &
    daemon=$!
    "$build/src/configstream" --instance "$instance" wait --timeout 30 >/dev/null
    "$build/grpc-bridge/configstream-bridge" --instance "$instance" --listen 127.0.0.1:0 --metrics off \
        --control "$work/bridge.sock" --cert "$work/ipc_cert.pem" --auth-token-file "$work/auth_token" \
        2>"$work/bridge.log" &
    bridge=$!
    until_log "$work/bridge.log" 'listening on'
    cat >"$work/publish" <<TEXT
#!/bin/sh
# publish N: sets "number" to 1, 2, ... N, each by itself, and prints the last ID
set -e
i=0
while [ \$i -lt "\$1" ]; do
    i=\$((i + 1))
    last=\$("$build/src/configstream" --instance "$instance" set number \$i)
done
echo "\$last" | sed 's/.*#\\([0-9]*\\).*/\\1/'
TEXT
    chmod +x "$work/publish"
    ADDRESS=localhost:$(sed -n 's/.*listening on 127\.0\.0\.1:\([0-9]*\).*/\1/p' "$work/bridge.log")
    export ADDRESS CERT="$work/ipc_cert.pem" TOKEN="$work/auth_token" PUBLISH="$work/publish" BURST=3000
    export PROTOS="$root/grpc-bridge/proto"
}

# ---- the clients: each prepares itself, and names its version and its command ------------------------------------------
# Or says why not: 1, it cannot be had here, or 2, it does not build.

version='' reason='' command=()

need() {
    local program
    for program; do
        command -v "$program" >/dev/null || { reason="there is no $program"; return 1; }
    done
}

prepare_node() {
    need node npm || return 1
    local folder="$cache/node"
    mkdir -p "$folder" && cp "$here/node/package.json" "$here/node/client.js" "$folder"
    (cd "$folder" && npm install --no-audit --no-fund && npm update --no-audit --no-fund) >"$work/node.build" 2>&1 ||
        { reason="npm: $(tail -n 1 "$work/node.build")"; return 1; }
    version="@grpc/grpc-js $(node -p "require('$folder/node_modules/@grpc/grpc-js/package.json').version")"
    version+=", node $(node --version)"
    command=(node "$folder/client.js")
}

# Debian's grpc-go knows no modules; our .proto files become the package that the agents' have.
prepare_go-debian() {
    local package=github.com/DataDog/datadog-agent/pkg/proto/pbgo/core debian=/usr/share/gocode file mapping
    local go_path="$cache/gopath"
    need go protoc protoc-gen-go dpkg-query || return 1
    [[ -d $debian/src/google.golang.org/grpc ]] || { reason="apt install golang-google-grpc-dev"; return 1; }
    local folder="$go_path/src/$package" protos=(datadog/{api/v1/api,model/v1/model,remoteagent/v1/remoteagent}.proto)
    rm -rf "$go_path" && mkdir -p "$folder" "$go_path/src/interop" && cp "$here/go/client.go" "$go_path/src/interop"
    mapping=,Mgoogle/protobuf/struct.proto=github.com/golang/protobuf/ptypes/struct
    for file in "${protos[@]}"; do mapping+=",M$file=$package"; done
    for file in "${protos[@]}"; do
        protoc -I "$PROTOS" --go_out="plugins=grpc,import_path=core$mapping:$work" "$file" 2>>"$work/go-debian.build" ||
            { reason="protoc-gen-go: $(tail -n 1 "$work/go-debian.build")"; return 2; }
    done
    find "$work" -name '*.pb.go' -exec mv {} "$folder" \;
    (cd "$go_path/src/interop" && GO111MODULE=off GOFLAGS= GOPATH="$go_path:$debian" go build -o "$work/go-debian") \
        >>"$work/go-debian.build" 2>&1 || { reason="go build: $(tail -n 1 "$work/go-debian.build")"; return 2; }
    version="grpc-go $(dpkg-query -W -f '${Version}' golang-google-grpc-dev), $(go env GOVERSION)"
    command=("$work/go-debian")
}

# On the messages that the agent publishes.
prepare_go-newest() {
    local folder="$work/go-newest.d" proto=github.com/DataDog/datadog-agent/pkg/proto
    need go || return 1
    mkdir "$folder" && cp "$here/go/client.go" "$folder"
    (cd "$folder" && go mod init interop && go get "$proto@latest" google.golang.org/grpc@latest && go mod tidy) \
        >"$work/go-newest.build" 2>&1 || { reason="go: $(tail -n 1 "$work/go-newest.build")"; return 1; }
    (cd "$folder" && go build -o "$work/go-newest") >"$work/go-newest.build" 2>&1 ||
        { reason="go build: $(tail -n 1 "$work/go-newest.build")"; return 2; }
    version="grpc-go $(cd "$folder" && go list -m -f '{{.Version}}' google.golang.org/grpc)"
    version+=", protos of the agent $(cd "$folder" && go list -m -f '{{.Version}}' $proto)"
    command=("$work/go-newest")
}

prepare_rust() {
    need cargo protoc || return 1
    local folder="$cache/rust"
    mkdir -p "$folder" && cp -r "$here/rust/." "$folder" && rm -f "$folder/Cargo.lock"
    (cd "$folder" && cargo fetch) >"$work/rust.build" 2>&1 ||
        { reason="cargo: $(grep -m 1 '^error' "$work/rust.build")"; return 1; }
    (cd "$folder" && cargo build --offline) >"$work/rust.build" 2>&1 ||
        { reason="cargo build: $(grep -m 1 '^error' "$work/rust.build")"; return 2; }
    version="tonic $(locked tonic), h2 $(locked h2), rustls $(locked rustls)"
    command=("$folder/target/debug/configstream-interop")
}

locked() { grep -A1 "^name = \"$1\"$" "$cache/rust/Cargo.lock" | sed -n 's/version = "\(.*\)"/\1/p'; }

# ---- the whole --------------------------------------------------------------------------------------------------------

run_client() {
    local name=$1 outcome=PASSED prepared=0
    [[ -z $only || $only == "$name" ]] || return 0
    say "$name: preparing"
    version='' reason=''
    "prepare_$name" || prepared=$?
    if ((prepared)); then
        ((prepared == 1)) && outcome=SKIPPED || { outcome=FAILED; failed=1; }
        rows+=("$(printf '%-10s  %-7s  %s' "$name" "$outcome" "$reason")")
        return 0
    fi
    say "$name: $version"
    if ! timeout 300 "${command[@]}"; then
        outcome=FAILED
        failed=1
    fi
    kill -0 "$bridge" 2>/dev/null || { cat "$work/bridge.log" >&2; die "the bridge ended"; }
    rows+=("$(printf '%-10s  %-7s  %s' "$name" "$outcome" "$version")")
}

while (($#)); do
    case $1 in
        --build) build=$(cd "${2:?--build needs a directory}" && pwd); shift 2 ;;
        --only) only=${2:?--only needs a name}; shift 2 ;;
        --keep) keep=true; shift ;;
        --help | -h) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
done
[[ -z $only || $only =~ ^(node|go-debian|go-newest|rust)$ ]] || { usage >&2; exit 2; }
for program in src/configstreamd src/configstream grpc-bridge/configstream-bridge; do
    [[ -x $build/$program ]] || die "$build/$program is not there: build first, or name a tree with --build"
done

trap tear_down EXIT
trap 'exit 130' INT TERM
start
for name in node go-debian go-newest rust; do run_client "$name"; done
say "$("$build/grpc-bridge/configstream-bridge" --version)"
printf '%s\n' "${rows[@]}"
exit $failed
