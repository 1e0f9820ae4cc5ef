#!/usr/bin/env bash
# install.sh BUILD_DIR CMAKE: install into a scratch prefix and use the result as a stranger would.
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail
build=$1 cmake=$2
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
fail() { echo "install: $*" >&2; exit 1; }

"$cmake" --install "$build" --prefix "$scratch/usr" >"$scratch/log" || { cat "$scratch/log"; fail "cmake --install"; }
libdir=$(dirname "$(find "$scratch/usr" -name libconfigstream.so)")
[ -n "$libdir" ] || fail "no libconfigstream.so"

# The shared object: versioned soname, and only our own names exported.
readelf -d "$libdir/libconfigstream.so" | grep -q 'SONAME.*libconfigstream\.so\.0\]' || fail "soname"
strays=$(nm -D --defined-only "$libdir/libconfigstream.so" | awk '{print $3}' | grep -v '^cfgs_[a-z0-9_]*$' || true)
[ -z "$strays" ] || fail "exported besides cfgs_*: $strays"
needed=$(readelf -d "$libdir/libconfigstream.so" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' | grep -v '^libc\.so' || true)
[ -z "$needed" ] || fail "needs more than libc at run time: $needed"

# pkg-config, shared and static.  The prefix in the file is the configured one; pkg-config moves it for us.
export PKG_CONFIG_PATH=$libdir/pkgconfig
flags=$(pkg-config --define-variable=prefix="$scratch/usr" --cflags --libs configstream)
# shellcheck disable=SC2086
cc -std=c11 -Wall -Wextra -Werror "$here/consumer.c" $flags -o "$scratch/shared"
LD_LIBRARY_PATH=$libdir "$scratch/shared" || fail "the shared consumer"
cc -std=c11 -I"$scratch/usr/include" "$here/consumer.c" "$libdir/libconfigstream.a" -pthread -o "$scratch/static"
"$scratch/static" || fail "the static consumer"

# The library for another host's configuration: the same, beside what TLS, HTTP/2 and the messages need.
remote=$libdir/libconfigstream-remote.so
if [ -e "$remote" ]; then
  readelf -d "$remote" | grep -q 'SONAME.*libconfigstream-remote\.so\.0\]' || fail "soname of libconfigstream-remote"
  strays=$(nm -D --defined-only "$remote" | awk '{print $3}' | grep -v '^cfgs_remote_[a-z0-9_]*$' || true)
  [ -z "$strays" ] || fail "libconfigstream-remote exports besides cfgs_remote_*: $strays"
  for name in $(grep -oh 'CFGS_API.*cfgs_remote_[a-z_]*(' "$scratch/usr/include/configstream/remote.h" | grep -o 'cfgs_remote_[a-z_]*'); do
    nm -D --defined-only "$remote" | grep -q " $name\$" || fail "libconfigstream-remote does not export $name"
  done
  needed=$(readelf -d "$remote" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' |
    grep -v '^lib\(c\|configstream\|nghttp2\|ssl\|crypto\|protobuf-c\)\.so' || true)
  [ -z "$needed" ] || fail "libconfigstream-remote needs more at run time: $needed"
  flags=$(pkg-config --define-variable=prefix="$scratch/usr" --cflags --libs configstream-remote)
  # shellcheck disable=SC2086
  cc -std=c11 -Wall -Wextra -Werror "$here/remote.c" $flags -o "$scratch/remote" || fail "pkg-config configstream-remote"
  LD_LIBRARY_PATH=$libdir "$scratch/remote" || fail "the remote consumer"
fi
flags=$(pkg-config --define-variable=prefix="$scratch/usr" --cflags --libs configstream)

# The CMake package.
"$cmake" -S "$here/package" -B "$scratch/package" -DCMAKE_PREFIX_PATH="$scratch/usr" >"$scratch/log" 2>&1 &&
  "$cmake" --build "$scratch/package" >>"$scratch/log" 2>&1 || { cat "$scratch/log"; fail "the CMake package"; }
"$scratch/package/consumer" || fail "the CMake consumer"
if [ -e "$remote" ]; then
  "$scratch/package/remote" || fail "the CMake consumer of libconfigstream-remote"
fi

# The examples of the pages are programs, and the names they mention exist: check_page LIBRARY
check_page() {
  local page="$scratch/usr/share/man/man3/$1.3" flags name
  flags=$(pkg-config --define-variable=prefix="$scratch/usr" --cflags --libs "$1")
  sed -n '/^\.Bd -literal$/,/^\.Ed$/p' "$page" | sed -e '/^\.[BE]d/d' -e 's/\\e/\\/g' >"$scratch/$1.c"
  # shellcheck disable=SC2086
  cc -std=c17 -Wall -Wextra -Werror "$scratch/$1.c" $flags -o "$scratch/$1-example" || fail "the example of $1(3)"
  for name in $(grep -oh '\(cfgs\|CFGS\)_[A-Za-z_]*' "$page" | sort -u); do
    grep -qw -- "$name" "$scratch"/usr/include/configstream/*.h || fail "$1(3) names $name, and no header does"
  done
}
check_page configstream
for header in "$scratch"/usr/include/configstream/*.h; do
  grep -q "configstream/${header##*/}" "$scratch/usr/share/man/man3/configstream.3" || fail "configstream(3) leaves out ${header##*/}"
done
if [ -e "$remote" ]; then
  page=$scratch/usr/share/man/man3/configstream-remote.3 header=$scratch/usr/include/configstream/remote.h
  check_page configstream-remote
  for name in $(grep -oh 'CFGS_API.*cfgs_remote_[a-z_]*(' "$header" | grep -o 'cfgs_remote_[a-z_]*'); do
    grep -q "Fn $name " "$page" || fail "configstream-remote(3) leaves out $name"
  done
  # And the members that it names are there.
  for name in $(sed -n 's/^\.Va \([a-z_]*\).*/\1/p' "$page" | sort -u); do
    grep -qw -- "$name" "$header" || fail "configstream-remote(3) names $name, and remote.h does not"
  done
  # It runs, and says what is wrong.
  LD_LIBRARY_PATH=$libdir "$scratch/configstream-remote-example" shm:no/name 2>"$scratch/log" &&
    fail "the example of configstream-remote(3) takes a wrong name"
  grep -q 'invalid' "$scratch/log" || { cat "$scratch/log"; fail "the example of configstream-remote(3) says not why"; }
fi

pages=$(find "$scratch/usr/share/man" -type f)
for page in $pages; do
  if command -v mandoc >/dev/null; then
    mandoc -T lint -W warning "$page" >"$scratch/log" || { cat "$scratch/log"; fail "mandoc -T lint"; }
  fi
  if man --version 2>/dev/null | grep -q '^man 2'; then
    LC_ALL=C.UTF-8 MANROFFSEQ='' MANWIDTH=80 man --warnings -E UTF-8 -l -Tutf8 -Z "$page" 2>"$scratch/log" >/dev/null
    [ ! -s "$scratch/log" ] || { cat "$scratch/log"; fail "man --warnings $page"; }
  fi
done

if ! grep -q 'CFGS_BUILD_PROGRAMS:BOOL=ON' "$build/CMakeCache.txt"; then
  echo "install: headers, libraries, pkg-config and CMake package work; programs are not built"
  exit
fi

for program in bin/configstream sbin/configstreamd; do
  env -u LD_LIBRARY_PATH "$scratch/usr/$program" --version | grep -q '^config' || fail "$program --version"
done

# A manual page has the options that the program's help has.  "Fl -name" is how a page writes --name.
page_options() { grep -o 'Fl -[a-z][a-z-]*\|| -[a-z][a-z-]*' "$1" | sed 's/.* /-/' | sort -u; }
help_options() { grep -o -- '--[a-z][a-z-]*' | sort -u; }
all_help() {
  "$scratch/usr/bin/configstream" --help
  for command in $("$scratch/usr/bin/configstream" --help | sed -n 's/^  \([a-z]*\)  *[A-Z].*/\1/p'); do
    "$scratch/usr/bin/configstream" help "$command"
    grep -q "^\.It Cm $command\b" "$scratch/usr/share/man/man1/configstream.1" || fail "configstream(1) leaves out $command"
  done
}
all_help >"$scratch/help"
diff <(help_options <"$scratch/help") <(page_options "$scratch/usr/share/man/man1/configstream.1") ||
  fail "configstream(1) and --help differ: < in the help, > in the page"
diff <("$scratch/usr/sbin/configstreamd" --help | help_options) <(page_options "$scratch/usr/share/man/man8/configstreamd.8") ||
  fail "configstreamd(8) and --help differ: < in the help, > in the page"

bridge=$scratch/usr/sbin/configstream-bridge
if [ -e "$bridge" ]; then
  "$bridge" --help >>"$scratch/help"
  diff <("$bridge" --help | help_options) <(page_options "$scratch/usr/share/man/man8/configstream-bridge.8") ||
    fail "configstream-bridge(8) and --help differ: < in the help, > in the page"
  for file in lib/systemd/system/configstream-bridge.service lib/systemd/system/configstream-bridge@.service \
    lib/sysusers.d/configstream-bridge.conf share/configstream/proto/datadog/api/v1/api.proto \
    share/bash-completion/completions/configstream-bridge share/zsh/site-functions/_configstream-bridge; do
    [ -s "$scratch/usr/$file" ] || fail "no $file"
  done
fi

if [ -e "$scratch/usr/sbin/configstream-relay" ]; then
  for program in bin/configstream-client:man1/configstream-client.1 sbin/configstream-relay:man8/configstream-relay.8; do
    page=$scratch/usr/share/man/${program#*:} program=$scratch/usr/${program%:*}
    "$program" --help >>"$scratch/help"
    diff <("$program" --help | help_options) <(page_options "$page") ||
      fail "${page##*/} and --help differ: < in the help, > in the page"
  done
  "$scratch/usr/bin/configstream" client --version | grep -q '^configstream-client' || fail "configstream client"
  for file in lib/systemd/system/configstream-relay.service lib/systemd/system/configstream-relay@.service \
    share/bash-completion/completions/configstream-relay share/zsh/site-functions/_configstream-relay \
    share/bash-completion/completions/configstream-client share/zsh/site-functions/_configstream-client; do
    [ -s "$scratch/usr/$file" ] || fail "no $file"
  done
fi

for file in lib/systemd/system/configstreamd.service lib/systemd/system/configstreamd@.service \
  lib/sysusers.d/configstream.conf lib/tmpfiles.d/configstream.conf etc/configstream/datadog.yaml \
  share/configstream/defaults.yaml share/configstream/control.proto \
  share/bash-completion/completions/configstream share/zsh/site-functions/_configstream; do
  [ -s "$scratch/usr/$file" ] || fail "no $file"
done
cmp -s "$here/../../docs/examples/agent/defaults.yaml" "$scratch/usr/share/configstream/defaults.yaml" || fail "defaults.yaml"

# The installed configuration is one that the daemon takes.
"$scratch/usr/sbin/configstreamd" --check --strict --defaults "$scratch/usr/share/configstream/defaults.yaml" \
  --config "$scratch/usr/etc/configstream/datadog.yaml" || fail "the installed configuration"

# The units, with the programs where this test has put them.
prefix=$(sed -n 's/^CMAKE_INSTALL_PREFIX:PATH=//p' "$build/CMakeCache.txt")
mkdir "$scratch/units"
for unit in "$scratch"/usr/lib/systemd/system/*.service; do
  sed "s|=$prefix/|=$scratch/usr/|" "$unit" >"$scratch/units/${unit##*/}"
done
if command -v systemd-analyze >/dev/null; then
  for unit in "$scratch"/units/*@.service; do
    cp "$unit" "${unit%@.service}@edge.service"
  done
  systemd-analyze verify --man=no $(ls "$scratch"/units/*.service | grep -v '@\.service$') \
    >"$scratch/log" 2>&1 || { cat "$scratch/log"; fail "systemd-analyze verify"; }
fi
# Every option a unit gives is one the daemon has.
for option in $(grep -oh -- ' --[a-z-]*' "$scratch"/units/*.service | sort -u); do
  grep -q -- "$option" "$scratch/help" || "$scratch/usr/sbin/configstreamd" --help | grep -q -- "$option" ||
    fail "a unit says $option"
done

echo "install: headers, libraries, pkg-config and CMake package, programs, manual pages, units and completions work"
