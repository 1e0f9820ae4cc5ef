#!/usr/bin/env bash
# packages.sh SOURCE_DIR CMAKE: build the Debian packages, and use them on a fresh Debian 12 that holds nothing else.
# Needs root, mmdebstrap and the network, and is skipped (77) without.  SPDX-License-Identifier: Apache-2.0
set -euo pipefail
source=$1 cmake=$2 scratch=${3:-}
here=$(cd "$(dirname "$0")" && pwd)
mirror_probe=http://deb.debian.org/debian/dists/bookworm/InRelease

say() { echo "packages: $*"; }
fail() { say "$*" >&2; exit 1; }
skip() { say "skipped: $*" >&2; exit 77; }
quietly() { "$@" >"$scratch/log" 2>&1 || { cat "$scratch/log" >&2; fail "failed: $*"; }; }

# Mounts and processes of the test end with their namespaces; what is on disk is removed out here.
if [ -z "$scratch" ]; then
  [ "$(id -u)" -eq 0 ] || skip "not root"
  command -v mmdebstrap >/dev/null || skip "there is no mmdebstrap"
  grep -q '^VERSION_CODENAME=bookworm$' /etc/os-release || skip "packages for Debian 12 are built on Debian 12"
  unshare --mount --pid --fork true || skip "no namespaces of its own here"
  scratch=$(mktemp -d)
  trap 'rm -rf --one-file-system "$scratch"' EXIT
  chmod 755 "$scratch"
  /usr/lib/apt/apt-helper download-file "$mirror_probe" "$scratch/probe" >/dev/null 2>&1 || skip "no Debian mirror in reach"
  unshare --mount --pid --fork --kill-child --mount-proc "$0" "$source" "$cmake" "$scratch"
  exit
fi

tree=$scratch/tree unit=/usr/lib/systemd/system/configstreamd.service

# ---- the machine ----------------------------------------------------------------------------------------------------

in_tree() {
  env -i ${http_proxy:+"http_proxy=$http_proxy"} PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 HOME=/ \
    DEBIAN_FRONTEND=noninteractive CONFIGSTREAM_PRODUCER_USER=configstream chroot "$tree" "$@"
}
as() {
  local user=$1
  shift
  in_tree setpriv --reuid "$user" --regid "$user" --init-groups --no-new-privs "$@"
}
install_packages() { quietly in_tree apt-get install -y --no-install-recommends "$@"; }

# Only processes of the test are in its namespace.
pid_of() { cat /proc/[0-9]*/stat 2>/dev/null | sed -n "s/ ($1).*//p"; }
daemon_pid() { pid_of configstreamd; }

# What a command prints, and that it fails with this status.
expect_failure() {
  local status=$1 text=$2 got=0
  shift 2
  "$@" >"$scratch/out" 2>&1 || got=$?
  [ "$got" -eq "$status" ] || { cat "$scratch/out" >&2; fail "exit $got, not $status: $*"; }
  grep -qi -- "$text" "$scratch/out" || { cat "$scratch/out" >&2; fail "does not say '$text': $*"; }
}
expect() {
  local text=$1 got
  shift
  got=$("$@") || fail "failed: $*"
  [[ "$got" == *"$text"* ]] || fail "says '$got', not '$text': $*"
}

build_packages() {
  local launcher=()
  command -v ccache >/dev/null && launcher=(-DCMAKE_C_COMPILER_LAUNCHER=ccache)
  quietly "$cmake" -S "$source" --preset package -B "$scratch/build" -DCFGS_WARNINGS_AS_ERRORS=ON "${launcher[@]}"
  quietly "$cmake" --build "$scratch/build" --target package
}

make_machine() {
  mmdebstrap --quiet --skip=cleanup/apt/lists --variant=minbase bookworm "$tree" 2>"$scratch/mmdebstrap.log" ||
    { cat "$scratch/mmdebstrap.log" >&2; fail "mmdebstrap"; }
  cp -L /etc/resolv.conf "$tree/etc/resolv.conf"
  mount -t proc proc "$tree/proc"
  mkdir -p "$tree/dev/shm"
  mount -t tmpfs -o mode=1777 tmpfs "$tree/dev/shm"
  mount -t tmpfs -o mode=755 tmpfs "$tree/run"
}

# ---- the packages ---------------------------------------------------------------------------------------------------

check_packages() {
  local deb file
  for deb in "$scratch"/build/*.deb; do
    dpkg-deb -x "$deb" "$scratch/unpacked"
  done
  for file in usr/bin/configstream usr/sbin/configstreamd usr/sbin/configstream-bridge usr/bin/configstream-client \
    usr/sbin/configstream-relay usr/lib/x86_64-linux-gnu/libconfigstream.so.0 \
    usr/lib/x86_64-linux-gnu/libconfigstream-remote.so.0; do
    [ -e "$scratch/unpacked/$file" ] || [ "$(dpkg --print-architecture)" != amd64 ] || fail "no $file"
  done
  while read -r file; do
    ! readelf -d "$file" | grep -E 'RPATH|RUNPATH' || fail "$file has a library path of its own"
    [[ "$(readelf -S "$file")" != *.debug_info* ]] || fail "$file is not stripped"
  done < <(find "$scratch/unpacked/usr" -type f \( -path '*bin/configstream*' -o -name '*.so.*' \) -perm -u+r \
             -exec sh -c 'head -c 4 "$1" | grep -q ELF' sh {} \; -print)
  if command -v lintian >/dev/null; then
    quietly lintian --allow-root --fail-on error "$scratch"/build/*.deb
  fi
}

install_programs() {
  local deb name
  mkdir "$tree/packages"
  for deb in "$scratch"/build/*.deb; do
    name=$(basename "$deb")
    cp "$deb" "$tree/packages/${name%%_*}.deb"
  done
  install_packages /packages/libconfigstream0.deb /packages/configstream.deb
  expect_failure 127 'not found' in_tree sh -c 'cc --version'
  expect configstream in_tree getent passwd configstream
  expect 'root configstream 640' in_tree stat -c '%U %G %a' /etc/configstream/datadog.yaml
  [ -z "$(daemon_pid)" ] || fail "installing started the daemon without systemd"
  for page in man1/configstream.1 man5/configstream-defaults.5 man8/configstreamd.8; do
    [ -s "$tree/usr/share/man/$page.gz" ] || fail "no manual page $page"
  done
}

# ---- the daemon -----------------------------------------------------------------------------------------------------

# A value of the unit file, its lines joined.
unit_says() { sed -e ':more' -e '/\\$/{N;s/\\\n//;b more' -e '}' "$tree$unit" | sed -n "s/^$1=//p"; }

# As systemd starts it: user, umask and directory of the unit.
start_daemon() {
  local user command
  user=$(unit_says User) command=$(unit_says ExecStart)
  in_tree install -d -m 755 -o "$user" -g "$(unit_says Group)" "/run/$(unit_says RuntimeDirectory)"
  as "$user" sh -c "umask $(unit_says UMask); exec $command" 2>"$scratch/daemon.log" &
  daemon=$!
  as "$user" configstream wait --timeout 30 >/dev/null || { cat "$scratch/daemon.log" >&2; fail "the daemon did not start"; }
}

use_daemon() {
  local file=$tree/etc/configstream/datadog.yaml
  expect info as alice configstream get log_level
  expect running as alice configstream status
  as alice configstream set log_level debug >/dev/null || fail "set by a member of the group"
  expect debug as alice configstream get log_level
  as alice configstream unset log_level >/dev/null
  echo 'log_level: warn' >>"$file"
  as alice configstream reload >/dev/null || fail "reload by a member of the group"
  expect warn as alice configstream get log_level
  sed -i 's/^log_level: warn$/log_level: error/' "$file"
  as configstream sh -c "$(unit_says ExecReload)" >/dev/null || fail "ExecReload"
  expect error as alice configstream get log_level
  expect_failure 1 'permission denied' as mallory configstream get log_level
  quietly in_tree dpkg -i /packages/configstream.deb
  grep -q '^log_level: error$' "$file" || fail "installing again has changed a file of the administrator"
}

use_library() {
  install_packages gcc libc6-dev pkg-config /packages/libconfigstream-dev.deb /packages/libconfigstream-remote0.deb
  for page in configstream.3 configstream-remote.3; do
    [ -s "$tree/usr/share/man/man3/$page.gz" ] || fail "no manual page $page"
  done
  install -m 644 "$here/agent.c" "$tree/agent.c"
  in_tree install -d -o alice /build
  as alice sh -ec 'cc -std=c17 -Wall -Wextra -Werror /agent.c $(pkg-config --cflags --libs configstream) -o /build/agent'
  expect 'log_level=error' as alice /build/agent log_level
  expect_failure 1 'permission denied' as mallory /build/agent log_level
  install -m 644 "$here/../install/remote.c" "$tree/remote.c"
  as alice sh -ec 'cc -std=c17 /remote.c $(pkg-config --cflags --libs configstream-remote) -o /build/remote && /build/remote' ||
    fail "a program with libconfigstream-remote"
}

# As its unit says, beside the daemon; a member of the group configstream may ask it.
start_bridge() {
  local unit=/usr/lib/systemd/system/configstream-bridge.service user command
  install_packages /packages/configstream-bridge.deb
  [ -s "$tree/usr/share/man/man8/configstream-bridge.8.gz" ] || fail "no manual page configstream-bridge.8"
  user=$(unit_says User) command=$(unit_says ExecStart)
  expect configstream in_tree id -Gn "$user"
  in_tree install -d -m 755 -o "$user" -g "$(unit_says Group)" "/run/$(unit_says RuntimeDirectory)"
  in_tree install -d -m "$(unit_says StateDirectoryMode)" -o "$user" -g "$(unit_says Group)" \
    "/var/lib/$(unit_says StateDirectory)"
  : >"$scratch/bridge.log"
  as "$user" sh -c "umask $(unit_says UMask); exec $command" 2>"$scratch/bridge.log" &
  bridge=$!
  until grep -q 'listening on' "$scratch/bridge.log"; do
    kill -0 "$bridge" 2>/dev/null || { cat "$scratch/bridge.log" >&2; fail "the bridge did not start"; }
    sleep 0.05
  done
}

# As its unit says, with what an administrator gives it; it reads the bridge of the same machine.
use_relay() {
  local unit=/usr/lib/systemd/system/configstream-relay@.service user command
  install_packages /packages/configstream-relay.deb
  for page in man1/configstream-client.1 man8/configstream-relay.8; do
    [ -s "$tree/usr/share/man/$page.gz" ] || fail "no manual page $page"
  done
  user=$(unit_says User)
  for file in ipc_cert.pem auth_token; do
    in_tree install -m 640 -g "$(unit_says Group)" "/var/lib/configstream-bridge/$file" "/etc/configstream/$file"
  done
  command=$(unit_says ExecStart | sed -e 's/%i/far/g' -e 's/\$CONFIGSTREAM_RELAY_OPTIONS/--connect localhost:5001/')
  as "$user" sh -c "umask $(unit_says UMask); exec $command" 2>"$scratch/relay.log" &
  relay=$!
  as alice configstream wait --instance far --timeout 30 >/dev/null || { cat "$scratch/relay.log" >&2; fail "the relay did not start"; }
  expect error as alice configstream get --instance far log_level
  expect 'relay of localhost:5001' as alice configstream status --instance far
  expect_failure 1 'permission denied' as mallory configstream get --instance far log_level
  expect PASS as configstream configstream client --duration 3s --agent-auth-token-file /etc/configstream/auth_token
  kill -TERM "$(pid_of configstream-re)"
  wait "$relay" || fail "the relay ended with $?"
  as "$user" configstream destroy --instance far >/dev/null || fail "destroying the instance of the relay"
  in_tree rm /etc/configstream/ipc_cert.pem /etc/configstream/auth_token
}

use_bridge() {
  expect 'bridge      127.0.0.1:5001' as alice configstream status
  expect '600 configstream-bridge' in_tree stat -c '%a %U' /var/lib/configstream-bridge/auth_token
  expect_failure 1 'permission denied' as mallory configstream status
  kill -TERM "$(pid_of configstream-br)"
  wait "$bridge" || fail "the bridge ended with $?"
}

stop_daemon() {
  kill -TERM "$(daemon_pid)"
  wait "$daemon" || fail "the daemon ended with $?"
  expect error as alice configstream get log_level
}

# ---- the end --------------------------------------------------------------------------------------------------------

remove_packages() {
  local left user
  quietly in_tree apt-get remove -y configstream-relay configstream-bridge configstream libconfigstream-dev \
    libconfigstream-remote0 libconfigstream0
  left=$(in_tree sh -c 'find /etc/configstream /usr/*bin -name "*datadog*" -o -name "configstream*" -type f')
  [ "$left" = /etc/configstream/datadog.yaml ] || fail "after remove there is: $left"
  quietly in_tree dpkg --purge configstream-relay configstream-bridge configstream libconfigstream-dev \
    libconfigstream-remote0 libconfigstream0
  rm -r "$tree/packages"
  left=$(in_tree find / -path /proc -prune -o -name '*configstream*' -print)
  [ -z "$left" ] || fail "after purge there is: $left"
  ! in_tree ldconfig -p | grep configstream || fail "the linker's cache knows the library"
  for user in configstream configstream-bridge; do
    in_tree getent passwd $user >/dev/null || fail "the user $user is gone, and its number free for others"
  done
}

make_machine &
build_packages
wait $! || fail "no machine"
check_packages
install_programs
say "installed on a fresh machine"
quietly in_tree useradd --groups configstream alice
quietly in_tree useradd mallory
start_daemon
use_daemon
say "the daemon runs as its unit says; members of the group read, set and reload, others are refused"
use_library
say "an agent built with pkg-config reads the running daemon"
start_bridge
use_relay
say "a relay runs as its unit says and passes the bridge's stream on, and the client finds that right"
use_bridge
say "the bridge runs as its unit says, reads the arena as another user, and tells members of the group who is there"
stop_daemon
remove_packages
say "removed without a trace, but for the system user"
