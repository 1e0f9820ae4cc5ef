/*
 * operations.c: configstream-bench-ops OPERATION COUNT [SETTINGS]: a fixed number of operations and nothing timed, to
 * count instructions by (configstream-bench --instructions).
 * SPDX-License-Identifier: Apache-2.0
 */
#include "peer.h"
#include "reads.h"
#include "rig.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct stage {
    struct bench_options options;
    struct corpus corpus;
    cfgs_publisher *publisher;
    cfgs_reader *reader;
    struct peer *peer;
    struct entry_list lists[READ_KINDS];
};

/* Whole passes over the lists: each kind as often as the corpus has it. */
static void read_key(struct stage *stage, size_t count)
{
    for (size_t done = 0; done < count;)
        for (size_t kind = 0; kind < READ_KINDS && done < count; kind++) {
            size_t now = stage->lists[kind].count < count - done ? stage->lists[kind].count : count - done;
            if (read_by_key(stage->reader, read_kinds[kind], stage->lists[kind].at, now) !=
                read_expected(stage->lists[kind].at, now))
                rig_die("wrong result: a point read");
            done += now;
        }
}

static void read_lmdb(struct stage *stage, size_t count)
{
    for (size_t done = 0; done < count;)
        for (size_t kind = 0; kind < READ_KINDS && done < count; kind++) {
            size_t now = stage->lists[kind].count < count - done ? stage->lists[kind].count : count - done;
            if (peer_read(stage->peer, read_kinds[kind], stage->lists[kind].at, now) !=
                read_expected(stage->lists[kind].at, now))
                rig_die("wrong result: lmdb");
            done += now;
        }
}

static void read_handle(struct stage *stage, size_t count)
{
    struct handle_list handles = handles_new(stage->reader, &stage->lists[1]);

    for (size_t done = 0; done < count; done += handles.count)
        if (read_by_handle(read_kinds[1], &handles) != read_expected(stage->lists[1].at, handles.count))
            rig_die("wrong result: a handle");
    handles_free(&handles);
}

static void read_ten(struct stage *stage, size_t count)
{
    struct view_keys keys;

    for (size_t i = 0; i < VIEW_KEYS; i++)
        keys.at[i] = stage->lists[i % READ_KINDS].at[i];
    for (size_t i = 0; i < count; i++)
        if (read_view(stage->reader, &keys) != read_expected(keys.at, VIEW_KEYS))
            rig_die("wrong result: a view");
}

static void update(struct stage *stage, size_t count)
{
    size_t keys = stage->corpus.count < BENCH_HOT_KEYS ? stage->corpus.count : BENCH_HOT_KEYS;

    for (size_t i = 0; i < count; i++) {
        cfgs_setting setting = corpus_setting(corpus_hot(&stage->corpus, i % keys, keys), 1 - i / keys % 2);
        bool changed = false;
        rig_check(cfgs_publisher_set(stage->publisher, &setting, CFGS_SOURCE_NONE, &changed), "updating");
        if (!changed)
            rig_die("wrong result: an update changed nothing");
    }
}

static const struct {
    const char *name;
    void (*run)(struct stage *stage, size_t count);
} operations[] = {{"read-key", read_key}, {"read-handle", read_handle}, {"read-view", read_ten}, {"update", update},
                  {"lmdb", read_lmdb}};

#define OPERATIONS (sizeof operations / sizeof operations[0])

static void perform(size_t number, size_t count, size_t settings)
{
    struct stage stage = {.options = {.cpu = -1, .directory = "/dev/shm", .no_wake_thread = true}};
    char path[PATH_MAX];

    corpus_make(settings, &stage.corpus);
    stage.publisher = rig_publish(&stage.options, "ops", &stage.corpus);
    stage.reader = rig_reader(&stage.options, "ops");
    rig_path(&stage.options, "ops.lmdb", path);
    if (operations[number].run == read_lmdb && (stage.peer = peer_open(path, &stage.corpus)) == NULL)
        rig_die("built without LMDB");
    for (size_t kind = 0; kind < READ_KINDS; kind++)
        stage.lists[kind] = corpus_of_kind(&stage.corpus, read_kinds[kind], settings);
    operations[number].run(&stage, count);
    for (size_t kind = 0; kind < READ_KINDS; kind++)
        entry_list_free(&stage.lists[kind]);
    peer_close(stage.peer);
    cfgs_reader_close(stage.reader);
    cfgs_publisher_close(stage.publisher, true);
    corpus_free(&stage.corpus);
}

int main(int argc, char **argv)
{
    size_t count = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
    size_t settings = argc > 3 ? strtoul(argv[3], NULL, 10) : BENCH_HOT_KEYS;

    for (size_t i = 0; argc > 2 && argc < 5 && settings >= 100 && i < OPERATIONS; i++)
        if (strcmp(argv[1], operations[i].name) == 0) {
            perform(i, count, settings);
            return 0;
        }
    fprintf(stderr, "usage: configstream-bench-ops read-key|read-handle|read-view|update|lmdb COUNT [SETTINGS]\n");
    return 2;
}
