/* layout.c: print what shm/layout.h and the public headers say, for page.py.  SPDX-License-Identifier: Apache-2.0 */
#include "shm/layout.h"
#include <configstream/configstream.h>
#include <stdio.h>

#define SHOW(what, type, prefix, base, field)                                                                          \
    printf(what " " prefix #field " %zu %zu\n", (size_t)(base) + offsetof(struct type, field),                         \
           sizeof(((struct type *)NULL)->field))
#define HEADER(field) SHOW("header", arena_header, "", 0, field)
#define INFO(field) SHOW("header", arena_info, "info.", offsetof(struct arena_header, info), field)
#define BANK(field) SHOW("bank", bank_words, "", 0, field)
#define RECORD(field) SHOW("record", record_head, "", 0, field)
#define SLOT(field) SHOW("slot", ring_slot, "", 0, field)

static void header(void)
{
    HEADER(magic), HEADER(layout_major), HEADER(layout_minor), HEADER(header_bytes);
    HEADER(features_ignore), HEADER(features_read), HEADER(features_write), HEADER(max_size);
    HEADER(hash_id), HEADER(byte_order), HEADER(hash_seed), HEADER(boot_id), HEADER(instance_id);
    HEADER(ring_at), HEADER(ring_slots), HEADER(base_sequence);
    HEADER(current), HEADER(state), HEADER(bank[0]), HEADER(bank[1]), HEADER(wake);
    HEADER(beat), HEADER(beat_ns), HEADER(beat_interval_ms);
    HEADER(epoch), HEADER(pid), HEADER(started_ns), HEADER(signal_lock), HEADER(relay_contact_ns);
    HEADER(runtime_void), HEADER(relay_connected);
    HEADER(counters.updates), HEADER(counters.batches), HEADER(counters.rebuilds), HEADER(counters.loads);
    HEADER(counters.reloads_ok), HEADER(counters.reloads_failed), HEADER(counters.last_failure_ns);
    HEADER(counters.lapped_hints), HEADER(counters.settings), HEADER(counters.heap_used), HEADER(counters.index_used);
    HEADER(info_version), HEADER(info);
    INFO(origin), INFO(control_path);
    INFO(relayed), INFO(relay_path_length), INFO(relay_path), INFO(relay_wire_base), INFO(relay_address);
}

static void others(void)
{
    BANK(version), BANK(index_at), BANK(index_capacity), BANK(heap_at), BANK(heap_bytes), BANK(loaded), BANK(sequence);
    RECORD(sequence), RECORD(prev), RECORD(hash), RECORD(key_length), RECORD(kind), RECORD(flags), RECORD(source);
    RECORD(unset_source), RECORD(source_at), RECORD(scalar), RECORD(setting_length), RECORD(encoded_length);
    RECORD(value_at), RECORD(value_length), RECORD(source_length), RECORD(unset_source_length), RECORD(reserved);
    SLOT(sequence), SLOT(route), SLOT(offset), SLOT(length);
}

static void numbers(void)
{
    for (int kind = CFGS_KIND_NULL; kind <= CFGS_KIND_STRUCT; kind++)
        printf("kind %s %d 0\n", cfgs_kind_name(kind), kind);
    printf("source none %d 0\nsource a %d 0\n", CFGS_SOURCE_NONE, CFGS_SOURCE_VERBATIM);
    for (int source = 1; source <= CFGS_SOURCE_COUNT; source++)
        printf("source %s %d 0\n", cfgs_source_name(source), source);
    printf("flag secret %u 0\nflag undeclared %u 0\n", RECORD_SECRET, RECORD_UNDECLARED);
    printf("flag local %u 0\nflag tombstone %u 0\n", RECORD_LOCAL, RECORD_TOMBSTONE);
}

/* Numbers the page gives in its text: a change here must change the page, too. */
_Static_assert(sizeof(struct arena_header) == 2048 && ARENA_HEADER_BYTES == 4096, "header");
_Static_assert(ARENA_MAGIC == UINT64_C(0x314d525453474643) && ARENA_BYTE_ORDER == 0x01020304u, "marks");
_Static_assert(ARENA_SECTION_BYTES == 65536 && ARENA_MAX_SIZE_LIMIT == UINT64_C(1) << 42, "sizes");
_Static_assert(ARENA_HASH_XXH3 == 1 && CELL_OFFSET_BITS == 40, "index");
_Static_assert(CFGS_RING_SLOTS_MIN == 16 && CFGS_RING_SLOTS_MAX == 1u << 24 && sizeof(struct ring_slot) == 32, "ring");
_Static_assert(ARENA_STATE_RUNNING == 1 && ARENA_STATE_CLOSED == 2 && ARENA_STATE_SUPERSEDED == 3, "states");
_Static_assert(HEARTBEAT_INTERVAL_MS == 500 && HEARTBEAT_STALE_MS == 3000, "heartbeat");
_Static_assert(sizeof(struct record_head) == 64 && CFGS_KEY_MAX_BYTES == 1024, "record");
_Static_assert(CFGS_VALUE_MAX_BYTES == 16u << 20 && CFGS_VALUE_MAX_DEPTH == 128, "values");
_Static_assert(CFGS_LAYOUT_MAJOR == 1 && CFGS_LAYOUT_MINOR == 0, "version");

int main(void)
{
    header();
    others();
    numbers();
    return 0;
}
