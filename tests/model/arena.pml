/* SPDX-License-Identifier: Apache-2.0
 * arena.pml: the shared-memory protocol of configstream at the level of single atomic loads and stores
 * (sequentially consistent; the litmus files beside this one cover weaker orders).
 *
 * One producer (updates, two-key batches, a new key, a removal, rebuilds, bulk loads), killed before any of its stores
 * up to MAXCRASH times, recovery included; NVIEW readers that read all keys at one point in time; NTAKE readers
 * that follow the event stream and fall back to a snapshot when lapped.
 *
 * Ghost data, which no process of the protocol reads: hist[] (the true state at every committed ID) and committed.
 *
 * Properties (all are assertions, plus "no invalid end state"):
 *   P1  a finished view holds exactly hist[S] for every key                       (batch atomicity, consistency)
 *   P2  S never goes back for a reader and is at least what was committed when the view began        (freshness)
 *   P3  neither a view nor an event is ever above what is committed                  (nothing uncommitted is seen)
 *   P4  after each event the consumer's state is hist[cursor], and ev.old was its value before   (stream = state)
 *   P5  the live bank always has the even version that header.current names      (a dead producer blocks nobody)
 *   P6  at quiescence every stream reader has reached the last committed ID                      (no lost wake-up)
 *
 * Each MUT_* macro removes or reorders one step; run.sh says which property then falls.
 */
#ifndef MAXOPS
#define MAXOPS 3
#endif
#ifndef MAXCRASH
#define MAXCRASH 1
#endif
#ifndef NVIEW
#define NVIEW 1
#endif
#ifndef VIEWS
#define VIEWS 2          /* views per view reader */
#endif
#ifndef NTAKE
#define NTAKE 1
#endif
#ifndef K
#define K 3              /* keys; key 2 does not exist at first */
#endif
#ifndef H
#define H 5              /* records per bank; at least K + 2, so that a batch always fits after a rebuild */
#endif
#ifndef RING
#define RING 2           /* slots */
#endif
#define MAXID (2 + 2 * MAXOPS)
#define NONE 255

/* ---- the arena ---------------------------------------------------------------------------------------------- */
byte cur = 4;                    /* header.current = version << 1 | bank: one word */
byte ver[2];                     /* bank.version, odd = being rebuilt */
byte seq[2];                     /* bank.sequence: the commit word */
byte cell[2 * K];                /* index: 0 = empty, else record offset + 1 */
byte rseq[2 * H];                /* record: sequence, key, value (0 = tombstone), prev (0 = none, else offset + 1) */
byte rkey[2 * H];
byte rval[2 * H];
byte rprev[2 * H];
byte sseq[RING];                 /* ring slot: sequence, bank|version, offset */
byte sbv[RING];
byte soff[RING];
byte fw;                         /* futex word */

/* ---- ghost data --------------------------------------------------------------------------------------------- */
byte hist[(MAXID + 1) * K];
byte committed = 2;
byte ncrash, nops;
byte at_id[2];                    /* the stream readers' cursors */

#define CB(c) ((c) & 1)
#define CV(c) ((c) >> 1)

#define CHECK_LIVE assert(ver[CB(cur)] == CV(cur) && (CV(cur) & 1) == 0)                                /* P5 */

/* A store the producer may be killed before. */
#define ST(x) if :: d_step { x; CHECK_LIVE } :: (ncrash < MAXCRASH) -> ncrash++; goto dead fi

init {
  d_step {
    ver[0] = 2; ver[1] = 0; seq[0] = 2;
    rseq[0] = 1; rkey[0] = 0; rval[0] = 1;
    rseq[1] = 2; rkey[1] = 1; rval[1] = 2;
    cell[0] = 1; cell[1] = 2;
    sseq[1 % RING] = 1; sbv[1 % RING] = 4; soff[1 % RING] = 0;
    sseq[2 % RING] = 2; sbv[2 % RING] = 4; soff[2 % RING] = 1;
    hist[1 * K + 0] = 1;
    hist[2 * K + 0] = 1; hist[2 * K + 1] = 2;
  }
  atomic {
    byte i;
    run producer();
    i = 0; do :: i < NVIEW -> run view_reader(); i++ :: else -> break od;
    i = 0; do :: i < NTAKE -> run stream_reader(i); i++ :: else -> break od;
  }
}

/* Ghost: record the truth for the IDs of this commit. */
inline truth(n) {
  i = 0;
  do
  :: i < n ->
     j = 0;
     do
     :: j < K -> hist[(pseq + 1 + i) * K + j] = hist[(pseq + i) * K + j]; j++
     :: else -> break
     od;
     if :: i == 0 -> hist[(pseq + 1) * K + ka] = va
        :: else   -> hist[(pseq + 2) * K + kb] = vb
     fi;
     i++
  :: else -> break
  od;
  committed = pseq + n; i = 0; j = 0
}

/* Write the ring slot of ID s for the record at offset o of bank pb. */
#ifdef MUT_SLOT_NO_EMPTY
#define SLOT_EMPTY(s) skip
#else
#define SLOT_EMPTY(s) ST(sseq[(s) % RING] = 0)
#endif
#define SLOT(s, o) SLOT_EMPTY(s); ST(sbv[(s) % RING] = pver * 2 + pb); ST(soff[(s) % RING] = o); ST(sseq[(s) % RING] = (s))

proctype producer() {
  byte pb, pver, pseq, bump;     /* private: gone after a kill */
  byte op, n, ka, kb, va, vb, o, life;
  byte b2, odd, i, j, t;
  bool recover;

restart:
  atomic {                       /* a new life reads the arena only */
    pb = CB(cur); pver = CV(cur); pseq = seq[pb]; bump = NONE;
    op = 0; n = 0; ka = 0; kb = 0; va = 0; vb = 0; o = 0; b2 = 0; odd = 0; i = 0; j = 0; t = 0;
    if :: life == 0 -> bump = 2; recover = false :: else -> recover = true fi;
  }
#ifdef MUT_RECOVER_NO_REBUILD
  if :: recover ->
     d_step {                    /* goes on in the current bank behind the last record any cell or slot names */
       recover = false; bump = 0; i = 0;
       do :: i < H -> if :: rseq[pb * H + i] != 0 -> bump = i + 1 :: else fi; i++ :: else -> break od; i = 0;
     }
     ST(fw++);
     :: else
  fi;
#endif
  goto next;

dead:
  life++; goto restart;

next:
  if
  :: recover -> goto rebuild
  :: !recover && nops < MAXOPS ->
     if
     :: d_step { nops++; op = 1; n = 1; ka = 0; va = (life + 1) * 16 + pseq + 1 }                 /* one key      */
     :: d_step { nops++; op = 1; n = 2; ka = 0; va = (life + 1) * 16 + pseq + 1;
                 kb = 1; vb = (life + 1) * 16 + pseq + 2 }                                       /* two-key batch */
#ifndef SMALL
     :: d_step { nops++; op = 1; n = 1; ka = 2; va = (life + 1) * 16 + pseq + 1 }                 /* new key      */
     :: d_step { hist[pseq * K + 1] != 0 -> nops++; op = 1; n = 1; ka = 1; va = 0 }              /* removal      */
#endif
     :: d_step { nops++; op = 2; n = 0 }                                                        /* rebuild      */
#ifdef BULK
     :: d_step { nops++; op = 3; n = 2; ka = 0; va = (life + 1) * 16 + pseq + 1;
                 kb = 1; vb = (life + 1) * 16 + pseq + 2 }                                       /* bulk load    */
     :: d_step { nops++; op = 4; n = 1; ka = 0; va = (life + 1) * 16 + 15 }           /* update that is given up */
#endif
     fi;
     if
     :: (op == 1 || op == 4) && bump + n <= H -> goto update
     :: else -> goto rebuild
     fi
  :: !recover -> goto fin
  fi;

update:
  /* 1. records: unreachable bytes, so one step each */
  ST(rseq[pb * H + bump] = pseq + 1; rkey[pb * H + bump] = ka; rval[pb * H + bump] = va; rprev[pb * H + bump] = cell[pb * K + ka]);
  if :: n == 2 ->
     ST(rseq[pb * H + bump + 1] = pseq + 2; rkey[pb * H + bump + 1] = kb; rval[pb * H + bump + 1] = vb; rprev[pb * H + bump + 1] = cell[pb * K + kb])
     :: else fi;
#ifdef MUT_COMMIT_BEFORE_RING
  if
  :: op == 1 ->
     ST(cell[pb * K + ka] = bump + 1);
     if :: n == 2 -> ST(cell[pb * K + kb] = bump + 2) :: else fi;
     ST(seq[pb] = pseq + n; truth(n))
  :: else
  fi;
#endif
  /* 2. ring */
  SLOT(pseq + 1, bump);
  if :: n == 2 -> SLOT(pseq + 2, bump + 1) :: else fi;
  if
  :: op == 4 ->                                           /* given up before its first cell: only bytes are lost */
#ifdef MUT_GIVE_UP_AFTER_CELLS
     ST(cell[pb * K + ka] = bump + 1);
#endif
     d_step { bump = bump + n; op = 0; n = 0; ka = 0; va = 0 }
     goto next
  :: else
  fi;
#ifdef MUT_WAKE_BEFORE_COMMIT
  ST(fw++);
#endif
  /* 3. cells, 4. commit */
#ifdef MUT_COMMIT_BEFORE_CELLS
  ST(seq[pb] = pseq + n; truth(n));
  ST(cell[pb * K + ka] = bump + 1);
  if :: n == 2 -> ST(cell[pb * K + kb] = bump + 2) :: else fi;
#else
#ifndef MUT_COMMIT_BEFORE_RING
  ST(cell[pb * K + ka] = bump + 1);
  if :: n == 2 -> ST(cell[pb * K + kb] = bump + 2) :: else fi;
  ST(seq[pb] = pseq + n; truth(n));
#endif
#endif
  d_step { bump = bump + n; pseq = pseq + n; }
  /* 5. wake */
#ifndef MUT_WAKE_BEFORE_COMMIT
  ST(fw++);
#endif
  d_step { op = 0; n = 0; ka = 0; kb = 0; va = 0; vb = 0; }
  goto next;

rebuild:
  atomic {
#ifdef MUT_RECOVER_IN_PLACE
    if :: recover -> b2 = pb :: else -> b2 = 1 - pb fi;
#else
    b2 = 1 - pb;
#endif
#ifdef MUT_VERSION_BLIND
    odd = ver[b2] + 1;                                    /* even again when the dead producer left it odd */
#else
    odd = ver[b2] | 1;
#endif
    t = 0; i = 0;
  }
#ifndef MUT_ODD_LATE
  ST(ver[b2] = odd);
#endif
#ifdef MUT_FLIP_FIRST
  ST(cur = (odd + 1) * 2 + b2);
#endif
#ifdef MUT_SEQ_FIRST_AFTER_EVEN
  skip;
#else
  if :: op == 3 -> ST(seq[b2] = pseq + 2) :: else -> ST(seq[b2] = pseq) fi;   /* early on purpose: the worst case */
#endif
  do
  :: i < K ->
     d_step {
       o = cell[pb * K + i];
#ifndef MUT_COPY_GHOSTS
       do :: o != 0 && rseq[pb * H + o - 1] > pseq -> o = rprev[pb * H + o - 1] :: else -> break od;
#endif
       if :: o != 0 && rval[pb * H + o - 1] == 0 -> o = 0 :: else fi;       /* a tombstone is not copied */
     }
     if
     :: op == 3 && i == ka -> ST(rseq[b2 * H + t] = pseq + 1; rkey[b2 * H + t] = i; rval[b2 * H + t] = va; rprev[b2 * H + t] = 0); t++; ST(cell[b2 * K + i] = t)
     :: op == 3 && i == kb -> ST(rseq[b2 * H + t] = pseq + 2; rkey[b2 * H + t] = i; rval[b2 * H + t] = vb; rprev[b2 * H + t] = 0); t++; ST(cell[b2 * K + i] = t)
     :: !(op == 3 && (i == ka || i == kb)) && o != 0 ->
        ST(rseq[b2 * H + t] = rseq[pb * H + o - 1]; rkey[b2 * H + t] = i; rval[b2 * H + t] = rval[pb * H + o - 1]; rprev[b2 * H + t] = 0);
        t++;
        ST(cell[b2 * K + i] = t)
     :: !(op == 3 && (i == ka || i == kb)) && o == 0 -> ST(cell[b2 * K + i] = 0)
     fi;
     i++
  :: else -> break
  od;
#ifdef MUT_ODD_LATE
  ST(ver[b2] = odd);
#endif
#ifndef MUT_BULK_KEEP_SLOTS
  if
  :: op == 3 ->                                           /* IDs without descriptors: empty their slots first */
     ST(sseq[(pseq + 1) % RING] = 0);
     ST(sseq[(pseq + 2) % RING] = 0)
  :: else
  fi;
#endif
  ST(ver[b2] = odd + 1);
#ifdef MUT_SEQ_FIRST_AFTER_EVEN
  if :: op == 3 -> ST(seq[b2] = pseq + 2) :: else -> ST(seq[b2] = pseq) fi;
#endif
  /* the flip: for a bulk load this store is the commit point */
#ifdef MUT_FLIP_FIRST
  if :: op == 3 -> d_step { truth(2) } :: else fi;
#else
  if
  :: op == 3 -> ST(cur = (odd + 1) * 2 + b2; truth(2))
  :: else    -> ST(cur = (odd + 1) * 2 + b2)
  fi;
#endif
  d_step {
    pb = b2; pver = odd + 1; bump = t;
    if :: op == 3 -> pseq = pseq + 2 :: else fi;
    i = 0; j = 0; t = 0; o = 0; b2 = 0; odd = 0;
    if :: op == 1 || op == 4 -> skip :: else -> n = 0; ka = 0; kb = 0; va = 0; vb = 0 fi;
  }
  if
  :: recover ->
#ifndef MUT_RECOVER_NO_WAKE
     ST(fw++);                                            /* the dead producer may have committed without waking */
#endif
     recover = false
  :: op == 3 -> ST(fw++)
  :: else
  fi;
  if
  :: op == 1 || op == 4 -> goto update
  :: else -> op = 0; goto next
  fi;

fin:
  skip
}

/* ---- a view: all keys at one point in time ------------------------------------------------------------------ */

/* Start a view: the bank, its version and S. Falls through with b, v, S set, or goes to `again`. */
#ifdef MUT_VIEW_PARITY_ONLY
#define VIEW_VERSION_OK ((v & 1) == 0)
#else
#define VIEW_VERSION_OK (v == CV(c))
#endif

#define LOOKUP(k)                                                                                                 \
  o = cell[b * K + k];                                                                                            \
  do                                                                                                              \
  :: o != 0 -> d_step { rs = rseq[b * H + o - 1]; rv = rval[b * H + o - 1]; rp = rprev[b * H + o - 1] };           \
     if :: rs > S -> o = rp :: else -> break fi                                                                   \
  :: else -> break                                                                                                \
  od;                                                                                                             \
  atomic { if :: o != 0 -> got[k] = rv :: else -> got[k] = 0 fi; o = 0; rs = 0; rv = 0; rp = 0 }

proctype view_reader() {
  byte c, b, v, S, o, rs, rv, rp, floor, last, nv;
  byte got[K];

again:
  do
  :: nv < VIEWS ->
     d_step { floor = committed; c = 0; b = 0; v = 0; S = 0; got[0] = 0; got[1] = 0; got[2] = 0 }
     d_step { c = cur; b = CB(c) }
     v = ver[b];
     if :: !VIEW_VERSION_OK -> goto again :: else fi;
#ifdef MUT_S_AFTER_CELL
     S = NONE; LOOKUP(0);
#endif
     S = seq[b];
#ifndef MUT_S_AFTER_CELL
     LOOKUP(0);
#endif
     LOOKUP(1);
     LOOKUP(2);
     d_step {
#ifdef MUT_VIEW_NO_RECHECK
       if
       :: true ->
#else
       if
       :: ver[b] == v ->
#endif
          assert(S <= committed);                                                                       /* P3 */
          assert(got[0] == hist[S * K] && got[1] == hist[S * K + 1] && got[2] == hist[S * K + 2]);        /* P1 */
          assert(S >= floor && S >= last);                                                              /* P2 */
          last = S; nv++
#ifndef MUT_VIEW_NO_RECHECK
       :: else -> skip
#endif
       fi;
       c = 0; b = 0; v = 0; S = 0; got[0] = 0; got[1] = 0; got[2] = 0
     }
  :: else -> break
  od
}

/* ---- the event stream: a snapshot, then consecutive updates ------------------------------------------------- */
proctype stream_reader(byte me) {
  byte c, b, v, S, o, rs, rv, rp, rk, cursor, w, s1, bv, old;
  byte got[K];                   /* the consumer's own copy of the state */
  bool have;

resync:
  atomic { have = false; c = 0; b = 0; v = 0; S = 0; o = 0; rs = 0; rv = 0; rp = 0; rk = 0; w = 0; s1 = 0; bv = 0; old = 0; got[0] = 0; got[1] = 0; got[2] = 0 }
  d_step { c = cur; b = CB(c) }
  v = ver[b];
  if :: !VIEW_VERSION_OK -> goto resync :: else fi;
  S = seq[b];
  LOOKUP(0);
  LOOKUP(1);
  LOOKUP(2);
  d_step {
    if
    :: ver[b] == v ->
       assert(S <= committed && S >= cursor);
       assert(got[0] == hist[S * K] && got[1] == hist[S * K + 1] && got[2] == hist[S * K + 2]);
       have = true; cursor = S; at_id[me] = S
    :: else -> skip
    fi;
    c = 0; b = 0; v = 0; S = 0
  }
  if :: !have -> goto resync :: else fi;

poll:
#ifndef MUT_WAIT_WORD_LATE
  w = fw;
#endif
#ifdef MUT_COMMIT_CHECK_LATE
  s1 = sseq[(cursor + 1) % RING];
  bv = sbv[(cursor + 1) % RING];
  o = soff[(cursor + 1) % RING];
#endif
commit_check:
  atomic { c = cur; b = CB(c) }
  S = seq[b];
#ifndef MUT_S_UNCHECKED
  if :: ver[b] != CV(c) -> c = 0; b = 0; S = 0; goto commit_check :: else fi;
#endif
  if
  :: S <= cursor ->
#ifdef MUT_WAIT_WORD_LATE
     w = fw;
#endif
     d_step { c = 0; b = 0; S = 0; s1 = 0; bv = 0; o = 0 }
end_sleep:
     fw != w; goto poll                                   /* FUTEX_WAIT(fw, w): sleeps only while the word is w */
  :: else
  fi;
  d_step { c = 0; b = 0; S = 0; w = 0 }

  /* take cursor + 1 */
#ifndef MUT_COMMIT_CHECK_LATE
  s1 = sseq[(cursor + 1) % RING];
  bv = sbv[(cursor + 1) % RING];
  o = soff[(cursor + 1) % RING];
#endif
  if :: s1 != cursor + 1 -> goto resync :: else fi;
#ifndef MUT_SLOT_NO_RECHECK
  if :: sseq[(cursor + 1) % RING] != cursor + 1 -> goto resync :: else fi;
#endif
#ifdef MUT_SLOT_GEN_IGNORED
  v = ver[CB(bv)];                                        /* before = after, but not compared with the slot's */
  if :: (v & 1) -> goto resync :: else fi;
#else
  v = CV(bv);
#endif
  d_step { rs = rseq[CB(bv) * H + o]; rk = rkey[CB(bv) * H + o]; rv = rval[CB(bv) * H + o]; rp = rprev[CB(bv) * H + o] }
  if :: rp != 0 -> old = rval[CB(bv) * H + rp - 1] :: else -> old = 0 fi;
#ifndef MUT_TAKE_NO_VERSION
  if :: ver[CB(bv)] != v -> goto resync :: else fi;
#endif
  d_step {
    assert(cursor + 1 <= committed);                                                                    /* P3 */
    cursor = cursor + 1; at_id[me] = cursor;
    assert(rs == cursor);
    assert(old == got[rk]);                                                                             /* P4 */
    got[rk] = rv;
    assert(got[0] == hist[cursor * K] && got[1] == hist[cursor * K + 1] && got[2] == hist[cursor * K + 2]); /* P4 */
    s1 = 0; bv = 0; o = 0; v = 0; rs = 0; rk = 0; rv = 0; rp = 0; old = 0
  }
  goto poll
}

/* P6: when nothing can move any more, a stream reader that still sleeps sleeps at the last committed ID. */
#if NTAKE > 0
active proctype monitor() {
  byte i;
  timeout -> do :: i < NTAKE -> assert(at_id[i] == committed); i++ :: else -> break od
}
#endif
