#!/usr/bin/env bash
# check.sh: build and test everything on Debian 12, as root or with sudo.  SPDX-License-Identifier: Apache-2.0
#
#   ./check.sh              install what is missing, build and test: release, asan, tsan
#   ./check.sh release      only the presets named
#
# Stops at the first failure.  Ends with ctest's own summary.
set -euo pipefail
cd "$(dirname "$0")"

packages=(build-essential cmake ninja-build pkg-config g++ python3 libyaml-dev libjansson-dev libprotobuf-c-dev
          protobuf-c-compiler protobuf-compiler libxxhash-dev libcriterion-dev liblmdb-dev spin
          libprotobuf-dev libnghttp2-dev libssl-dev liburcu-dev libmicrohttpd-dev
          python3-grpcio python3-hpack python3-protobuf libgrpc++-dev protobuf-compiler-grpc
          mandoc mmdebstrap openssl iproute2 zsh)
presets=("$@")
[ ${#presets[@]} -gt 0 ] || presets=(release asan tsan)

say() { printf '\n== %s\n' "$*"; }

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  say "installing ${missing[*]}"
  sudo=
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "check: no root and no sudo here; as root, run: apt-get install ${missing[*]}" >&2; exit 1; }
    sudo=sudo
  fi
  $sudo apt-get update -q
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
fi

for preset in "${presets[@]}"; do
  say "$preset: configure and build"
  cmake --preset "$preset" -DCFGS_WARNINGS_AS_ERRORS=ON -DCFGS_BUILD_TESTS=ON -DCFGS_BUILD_PROGRAMS=ON
  cmake --build --preset "$preset"
done
# Most tests wait most of their time: twice as many at once as there are processors.
for preset in "${presets[@]}"; do
  say "$preset: test"
  ctest --preset "$preset" -j "$((2 * $(nproc)))" --no-tests=error
done
