#!/usr/bin/env bash
# quickstart.sh: configstream's main job, live, on the example configuration of docs/examples/agent.
#
# Builds what it needs, starts configstreamd on an instance of its own and configstream-bridge beside it, attaches two
# consumers that read shared memory and one in Python that reads the stream by gRPC, makes live changes and shows what
# each receives.  Stays up until Ctrl-C; with --once it checks what the consumers saw, tears everything down and exits 0.
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
instance="quickstart-$$"
work='' daemon='' bridge='' watch_all='' watch_log='' remote=''
once=false

usage() {
    cat <<'TEXT'
Usage: ./quickstart.sh [--once]

  --once   run the whole tour, check what all consumers saw, tear everything down, exit 0

Needs Debian 12 (or something close to it), as root or with sudo only if packages are missing.
TEXT
}

if [[ -t 1 ]]; then
    bold=$'\e[1m' green=$'\e[32m' cyan=$'\e[36m' yellow=$'\e[33m' violet=$'\e[35m' plain=$'\e[0m'
else
    bold='' green='' cyan='' yellow='' violet='' plain=''
fi

say()  { printf '%s== %s%s\n' "$bold" "$*" "$plain"; }
run()  { printf '%s$ configstream %s%s\n' "$bold" "$*" "$plain"; "$cli" --instance "$instance" "$@"; }
fail() { printf 'quickstart: %s\n' "$*" >&2; exit 1; }

# ---- packages and build ----------------------------------------------------------------------------------------------

install_packages() {
    local need=(gcc libc6-dev cmake ninja-build pkg-config libyaml-dev libjansson-dev libprotobuf-c-dev
                protobuf-c-compiler protobuf-compiler libprotobuf-dev libxxhash-dev libnghttp2-dev libssl-dev
                liburcu-dev libmicrohttpd-dev python3 python3-grpcio python3-protobuf protobuf-compiler-grpc)
    local missing=() package sudo=''
    for package in "${need[@]}"; do
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
    done
    ((${#missing[@]})) || return 0
    say "Installing ${missing[*]}"
    if ((EUID != 0)); then
        command -v sudo >/dev/null || fail "no root and no sudo here; as root, run: apt-get install ${missing[*]}"
        sudo=sudo
    fi
    $sudo apt-get update
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"
}

build() {
    local tree="$here/build/quickstart" # its own: another tree may be built with other options
    say "Building in ${tree#"$here"/}"
    if [[ ! -f $tree/build.ninja ]]; then
        (cd "$here" && cmake --preset release -B "$tree" -DCFGS_BUILD_TESTS=OFF -DCFGS_BUILD_BENCH=OFF)
    fi
    cmake --build "$tree" --target configstreamd configstream-cli configstream-bridge
    cli="$tree/src/configstream"
    producer="$tree/src/configstreamd"
    server="$tree/grpc-bridge/configstream-bridge"
}

# ---- processes --------------------------------------------------------------------------------------------------------

end_process() {
    [[ -n $1 ]] || return 0
    kill "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true # its status is that of the signal
}

tear_down() {
    end_process "$watch_all"
    end_process "$watch_log"
    end_process "$remote"
    end_process "$bridge"
    end_process "$daemon"
    watch_all='' watch_log='' remote='' bridge='' daemon=''
    [[ -z $work ]] || rm -rf "$work"
    work=''
}

goes_on() {
    [[ -z $1 ]] || kill -0 "$1" 2>/dev/null || { tail "$work"/*.err >&2; fail "$2 ended while waiting for $3"; }
}

# Until the command succeeds; a machine that needs longer than this has another problem.
wait_for() {
    local what=$1 give_up=$((SECONDS + 60))
    shift
    until "$@" 2>/dev/null; do
        goes_on "$daemon" configstreamd "$what"
        goes_on "$bridge" configstream-bridge "$what"
        goes_on "$remote" "the Python client" "$what"
        ((SECONDS < give_up)) || fail "gave up waiting for $what"
        sleep 0.05
    done
}

# The client of docs/protocol.md, with stubs made of the same .proto files.
make_remote_client() {
    local protos="$here/grpc-bridge/proto"
    mkdir "$work/client"
    sed -n '/^<!-- test: client.py -->$/,/^```$/{/^<!--/d;/^```/d;p}' "$here/docs/protocol.md" >"$work/client/client.py"
    protoc -I "$protos" --plugin=protoc-gen-grpc_python="$(command -v grpc_python_plugin)" \
        --python_out="$work/client" --grpc_python_out="$work/client" \
        datadog/api/v1/api.proto datadog/model/v1/model.proto datadog/remoteagent/v1/remoteagent.proto
}

start_remote() {
    local port
    say "Starting configstream-bridge: certificate and token are made at its first start"
    "$server" --instance "$instance" --listen 127.0.0.1:0 --metrics off --control "$work/bridge.sock" \
        --cert "$work/ipc_cert.pem" --auth-token-file "$work/auth_token" 2>"$work/bridge.err" &
    bridge=$!
    wait_for "the bridge" grep -q 'listening on' "$work/bridge.err"
    port=$(sed -n 's/.*listening on 127\.0\.0\.1:\([0-9]*\).*/\1/p' "$work/bridge.err")
    say "A remote agent in Python: gRPC with client certificate and token, register, stream"
    make_remote_client
    /usr/bin/python3 -B "$work/client/client.py" "localhost:$port" "$work/ipc_cert.pem" "$work/auth_token" \
        >"$work/remote.log" 2>"$work/remote.err" &
    remote=$!
    wait_for "the snapshot of the remote agent" grep -q '^snapshot' "$work/remote.log"
}

start() {
    work=$(mktemp -d "${TMPDIR:-/tmp}/configstream-quickstart.XXXXXX")
    cp "$here/docs/examples/agent/datadog.yaml" "$work/datadog.yaml"
    say "Starting configstreamd, instance $instance"
    "$producer" --instance "$instance" --defaults "$here/docs/examples/agent/defaults.yaml" \
        --config "$work/datadog.yaml" --control "$work/control.sock" --unlink 2>"$work/daemon.err" &
    daemon=$!
    wait_for "the first snapshot" "$cli" --instance "$instance" wait --timeout 1
    "$cli" --instance "$instance" watch >"$work/all.log" 2>"$work/all.err" &
    watch_all=$!
    "$cli" --instance "$instance" --json watch --prefix log_ >"$work/log.log" 2>"$work/log.err" &
    watch_log=$!
    wait_for "the snapshot of consumer 1" grep -q '^snapshot' "$work/all.log"
    wait_for "the snapshot of consumer 2" grep -q '"event":"snapshot"' "$work/log.log"
    start_remote
}

# ---- showing ----------------------------------------------------------------------------------------------------------

declare -A shown=()

show_lines() {
    local file=$1 name=$2 count
    count=$(wc -l <"$work/$file")
    sed -n "$((${shown[$file]:-0} + 1)),${count}p" "$work/$file" | sed "s/^/  $name$plain /"
    shown[$file]=$count
}

show_new() {
    show_lines all.log "$cyan[consumer 1: everything]  "
    show_lines log.log "$yellow[consumer 2: log_*]       "
    show_lines remote.log "$violet[consumer 3: remote, gRPC]"
}

last_id() { "$cli" --instance "$instance" --json wait | sed 's/.*"sequence":\([0-9]*\).*/\1/'; }
saw() { grep -Eq "^(update|snapshot) #$1:" "$work/all.log"; }
saw_log() { grep -Eq "\"event\":\"[a-z]+\",\"sequence\":$1," "$work/log.log"; }
saw_remote() { grep -Eq "^(update|snapshot) #$1:" "$work/remote.log"; }

# The consumers are on their own: wait until each has what it is to get.
settle() {
    local id=$1
    wait_for "update #$id at consumer 1" saw "$id"
    wait_for "update #$id at consumer 3" saw_remote "$id"
    [[ -z ${2:-} ]] || wait_for "update #$2 at consumer 2" saw_log "$2"
    show_new
}

reloads() { "$cli" --instance "$instance" --json status | sed 's/.*"reloads_ok":\([0-9]*\).*/\1/'; }
reloaded() { (($(reloads) > $1)); }

tour() {
    say "All three start with a snapshot"
    show_new

    say "A setting is raised at run time; all see it, near and far"
    run set log_level debug
    settle "$(last_id)" "$(last_id)"
    run get log_level --all-sources

    say "A list and a secret: consumer 2 follows log_* only, and secrets are masked"
    run set --value-json '["team:storefront","tier:canary"]' tags
    run set api_key 00000000-not-a-real-key
    settle "$(last_id)"

    say "The source is cleared: the value falls back to the one below"
    run unset log_level
    settle "$(last_id)" "$(last_id)"

    say "The YAML file is edited: one batch with only what differs"
    sed -i 's/^log_file_max_rolls: .*/log_file_max_rolls: 9/; s/^hostname: .*/hostname: web-fra-08.shop.example.com/' \
        "$work/datadog.yaml"
    run reload
    settle "$(last_id)"

    say "Another edit, this time with SIGHUP"
    local before
    before=$(reloads)
    printf 'log_to_syslog: true\n' >>"$work/datadog.yaml"
    kill -HUP "$daemon"
    wait_for "the reload" reloaded "$before"
    settle "$(last_id)" "$(last_id)"

    say "A file that does not parse is refused with its place; the last good configuration stays"
    cp "$work/datadog.yaml" "$work/good.yaml"
    printf 'tags: [unfinished\n' >>"$work/datadog.yaml"
    if run reload; then fail "a broken file was loaded"; fi
    cp "$work/good.yaml" "$work/datadog.yaml"
    run get log_to_syslog --source
}

# ---- checking ---------------------------------------------------------------------------------------------------------

# Snapshot first, then IDs that each follow the one before.
check_all() {
    awk '{ id = $2; gsub(/[#:]/, "", id); id += 0 }
         NR == 1 { if ($1 != "snapshot") exit 1; last = id; next }
         $1 != "update" || id != last + 1 { exit 1 }
         { last = id; n++ }
         END { if (n < 7) exit 1 }' "$work/all.log"
}

# Snapshot first, then growing IDs; each update is one that consumer 1 saw too.
check_log() {
    sed 's/.*"event":"\([a-z]*\)","sequence":\([0-9]*\).*/\1 \2/' "$work/log.log" |
        awk 'NR == FNR { id = $2; gsub(/[#:]/, "", id); seen[id] = 1; next }
             FNR == 1 { if ($1 != "snapshot") exit 1; last = $2; next }
             $1 != "update" || $2 <= last || !seen[$2] { exit 1 }
             { last = $2; n++ }
             END { if (n < 4) exit 1 }' "$work/all.log" -
}

# Snapshot first, then the IDs and keys that consumer 1 saw, all of them.
check_remote() {
    [[ $(sed -n '1s/ .*//p' "$work/remote.log") == snapshot ]] &&
        diff <(grep '^update' "$work/all.log" | awk '{ print $2, $3 }') \
             <(sed 1d "$work/remote.log" | awk '{ print $1 == "update" ? $2 " " $3 : $0 }') >&2
}

check() {
    say "Checking what the consumers saw"
    check_all || { cat "$work/all.log" >&2; fail "consumer 1 did not see a snapshot and consecutive updates"; }
    check_log || { cat "$work/log.log" >&2; fail "consumer 2 did not see a snapshot and ordered updates"; }
    check_remote || { cat "$work/remote.log" >&2; fail "the remote agent did not see what consumer 1 saw"; }
    ! grep -q 'not-a-real-key' "$work"/*.log "$work"/*.err || fail "a secret was shown"
    printf '%sall consumers: a snapshot, then every update in order, near and far%s\n' "$green" "$plain"
}

check_gone() {
    local path
    for path in "/dev/shm/configstream.$instance" "/dev/shm/configstream.$instance.lock"; do
        [[ ! -e $path ]] || fail "$path was left behind"
    done
    [[ -z $(jobs -pr) ]] || fail "a process was left behind"
}

stay() {
    say "Running until Ctrl-C.  In another terminal:"
    printf '  %s --instance %s set log_level trace\n' "$cli" "$instance"
    printf '  %s --instance %s list log_\n' "$cli" "$instance"
    printf '  $EDITOR %s && kill -HUP %s\n' "$work/datadog.yaml" "$daemon"
    while true; do
        goes_on "$daemon" configstreamd changes
        goes_on "$bridge" configstream-bridge changes
        show_new
        sleep 0.2
    done
}

case ${1:-} in
    '') ;;
    --once) once=true ;;
    --help | -h) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
esac

trap tear_down EXIT
trap 'printf "\n"; say "Ending"; exit 0' INT TERM
install_packages
build
start
tour
check
if ! $once; then stay; fi
tear_down
check_gone
say "Done: nothing was left behind"
