#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# run.sh         proves the arena protocol at small bounds and shows that each mutation breaks it (minutes, < 2 GiB)
# run.sh full    the larger bounds as well (ten minutes, up to 4 GiB)
# Needs spin and a C compiler; without spin it is skipped (77).  Work files go to a temporary folder.
command -v spin >/dev/null 2>&1 || { echo "no spin here (Debian package spin): skipped"; exit 77; }
here=$(cd "$(dirname "$0")" && pwd) || exit 1
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
cd "$tmp" || exit 1
pass=0 fail=0

# check EXPECT "DEFINES": EXPECT is "holds" or "breaks"
check() {
  # shellcheck disable=SC2086 # several defines
  if ! { spin -a $2 "$here/arena.pml" && ${CC:-cc} -O2 -w -DSAFETY -DCOLLAPSE -DMEMLIM="${MEM:-2000}" -o pan pan.c; } >spin.log 2>&1; then
    cat spin.log
    exit 1
  fi
  ./pan -m400000 >pan.log 2>&1
  states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' pan.log)
  why=$(sed -n 's/^pan:1: \(.*\) (at depth.*/\1/p' pan.log)
  if grep -q 'errors: 0' pan.log && ! grep -qi 'not completed\|max search depth too small' pan.log; then
    got=holds
  elif [ -n "$why" ]; then
    got=breaks
  else
    got="no verdict"
  fi
  if [ "$got" = "$1" ]; then
    pass=$((pass + 1))
  else
    fail=$((fail + 1))
    got="$got (EXPECTED: $1)"
  fi
  printf '%-8s %10s  %s  %s\n' "$got" "$states" "$2" "$why"
}

stream="-DMAXOPS=2 -DMAXCRASH=1 -DNVIEW=0 -DBULK"
views="-DMAXOPS=2 -DMAXCRASH=1 -DNTAKE=0 -DBULK"

check holds "$stream"
check holds "$views"
for m in SLOT_NO_EMPTY SLOT_NO_RECHECK SLOT_GEN_IGNORED TAKE_NO_VERSION COMMIT_CHECK_LATE VIEW_PARITY_ONLY \
         BULK_KEEP_SLOTS GIVE_UP_AFTER_CELLS COMMIT_BEFORE_RING COMMIT_BEFORE_CELLS WAKE_BEFORE_COMMIT WAIT_WORD_LATE \
         ODD_LATE FLIP_FIRST RECOVER_NO_REBUILD RECOVER_IN_PLACE COPY_GHOSTS VERSION_BLIND RECOVER_NO_WAKE; do
  check breaks "$stream -DMUT_$m"
done
check breaks "-DMAXOPS=3 -DMAXCRASH=0 -DNVIEW=0 -DBULK -DMUT_S_UNCHECKED"
for m in VIEW_NO_RECHECK VIEW_PARITY_ONLY S_AFTER_CELL COMMIT_BEFORE_CELLS ODD_LATE RECOVER_NO_REBUILD COPY_GHOSTS; do
  check breaks "$views -DMUT_$m"
done
# An order that turns out not to matter, since the generation check keeps readers out until the flip:
check holds "$views -DMUT_SEQ_FIRST_AFTER_EVEN"

if [ "$1" = full ]; then
  MEM=6000
  check holds "-DMAXOPS=2 -DMAXCRASH=2 -DNVIEW=0 -DBULK"
  check holds "-DMAXOPS=2 -DMAXCRASH=2 -DNVIEW=0 -DBULK -DRING=4"
  check holds "-DMAXOPS=2 -DMAXCRASH=1 -DNVIEW=0 -DBULK -DRING=1"
  check holds "-DMAXOPS=2 -DMAXCRASH=2 -DNTAKE=0 -DBULK"
  check holds "-DMAXOPS=2 -DMAXCRASH=1 -DBULK -DVIEWS=1 -DSMALL"                     # a view and a stream
  check holds "-DMAXOPS=2 -DMAXCRASH=1 -DBULK -DNTAKE=0 -DNVIEW=2 -DVIEWS=1 -DSMALL" # two views
fi
echo "$pass passed, $fail failed"
[ "$fail" -eq 0 ]
