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

# The CMake package.
"$cmake" -S "$here/package" -B "$scratch/package" -DCMAKE_PREFIX_PATH="$scratch/usr" >"$scratch/log" 2>&1 &&
  "$cmake" --build "$scratch/package" >>"$scratch/log" 2>&1 || { cat "$scratch/log"; fail "the CMake package"; }
"$scratch/package/consumer" || fail "the CMake consumer"

for program in bin/configstream sbin/configstreamd; do
  if [ -e "$build/CMakeCache.txt" ] && grep -q 'CFGS_BUILD_PROGRAMS:BOOL=ON' "$build/CMakeCache.txt"; then
    env -u LD_LIBRARY_PATH "$scratch/usr/$program" --version | grep -q '^config' || fail "$program --version"
  fi
done
echo "install: headers, libraries, pkg-config and CMake package work"
