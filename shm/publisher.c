/* publisher.c: looking at a publisher, and readers of its arena.  SPDX-License-Identifier: Apache-2.0 */
#include "publisher_private.h"
#include "reader_private.h"
#include <configstream/error.h>

cfgs_publisher_start cfgs_publisher_started(const cfgs_publisher *publisher)
{
    return publisher->start;
}

uint64_t cfgs_publisher_sequence(const cfgs_publisher *publisher)
{
    return publisher->sequence;
}

const cfgs_error_detail *cfgs_publisher_error(const cfgs_publisher *publisher)
{
    return &publisher->detail;
}

const char *cfgs_publisher_path(const cfgs_publisher *publisher)
{
    return publisher->named ? publisher->name.path : "";
}

void publisher_own_view(cfgs_publisher *publisher, cfgs_view *view)
{
    *view = (cfgs_view){.attachment = &publisher->own,
                        .route = route_make(publisher->generation, publisher->bank),
                        .sequence = publisher->sequence,
                        .index_at = publisher->index.at,
                        .index_capacity = publisher->index.capacity,
                        .mapped = publisher->file.bytes};
}

int cfgs_publisher_view(cfgs_publisher *publisher, cfgs_view *view)
{
    if (fork_guard_forked(&publisher->guard))
        return CFGS_ERR_FORKED;
    publisher_own_view(publisher, view);
    return CFGS_OK;
}

int cfgs_publisher_reader(cfgs_publisher *publisher, cfgs_reader **out)
{
    if (fork_guard_forked(&publisher->guard))
        return CFGS_ERR_FORKED;
    if (!publisher->named)
        return reader_open_memory(publisher, out);
    /* No detail: the publisher's belongs to its own thread. */
    cfgs_reader_options options = {.arena_path = publisher->name.path};
    return cfgs_reader_open(&options, out);
}

int publisher_attach(cfgs_publisher *publisher, struct attachment **out)
{
    pthread_mutex_lock(&publisher->lock);
    int err = attachment_open_fd(publisher->file.fd, out, NULL);
    pthread_mutex_unlock(&publisher->lock);
    return err;
}

void cfgs_publisher_count_reload(cfgs_publisher *publisher, bool ok)
{
    struct arena_counters *counters = &publisher->file.header->counters;

    if (fork_guard_forked(&publisher->guard))
        return;
    count(ok ? &counters->reloads_ok : &counters->reloads_failed, 1);
    if (!ok) {
        /* [counters] relaxed: for people. */
        word_store_relaxed(&counters->last_failure_ns, clock_ns(CLOCK_REALTIME));
    }
}
