#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs every litmus file and compares herd7's verdict with the "expect:" line in it (recorded with herd7 7.57).  HERD and
# HERD_LIB may name the program and its model directory.  Debian 12 has no herdtools7 package: without it the run is
# skipped (77).  c11-<stem>.litmus is the pairing as the code has it, c11-<stem>-<what>.litmus a weakening of it; a64-* the
# same as compiled for AArch64.
cd "$(dirname "$0")" || exit 1
herd=${HERD:-herd7}
command -v "$herd" >/dev/null 2>&1 || { echo "no herd7 here: skipped"; exit 77; }
pass=0 fail=0
for f in *.litmus; do
  case $f in c11-*) model=rc11.cat ;; a64-*) model=aarch64.cat ;; esac
  want=$(sed -n 's/^(\* expect: \([A-Za-z]*\).*/\1/p' "$f")
  got=$("$herd" ${HERD_LIB:+-set-libdir "$HERD_LIB"} -model "$model" "$f" 2>&1 | sed -n 's/^Observation [^ ]* \([A-Za-z]*\).*/\1/p')
  if [ -n "$got" ] && [ "$got" = "$want" ]; then
    pass=$((pass + 1))
  else
    fail=$((fail + 1))
    echo "$f: expected $want, herd7 says '${got:-error}'"
  fi
done
echo "$pass passed, $fail failed"
[ "$fail" -eq 0 ]
