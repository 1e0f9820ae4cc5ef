/* upstream.c: what a republisher says of where its configuration comes from.  SPDX-License-Identifier: Apache-2.0 */
#include "detail.h"
#include "publisher_private.h"
#include "reader_private.h"
#include <configstream/error.h>

_Static_assert(INFO_PATH_MAX == CFGS_UPSTREAM_PATH_MAX, "the info block holds the longest path");

static int check(cfgs_publisher *publisher, const cfgs_upstream *upstream)
{
    if (upstream->origin != NULL && strlen(upstream->origin) >= INFO_ORIGIN_BYTES)
        return detail_set(&publisher->detail, CFGS_ERR_INVALID, 0, "origin is longer than %d bytes",
                          INFO_ORIGIN_BYTES - 1);
    if (upstream->address != NULL && strlen(upstream->address) >= INFO_ADDRESS_BYTES)
        return detail_set(&publisher->detail, CFGS_ERR_INVALID, 0, "address is longer than %d bytes",
                          INFO_ADDRESS_BYTES - 1);
    if (upstream->path_length > CFGS_UPSTREAM_PATH_MAX)
        return detail_set(&publisher->detail, CFGS_ERR_INVALID, 0, "a path through %u arenas is too long: at most %d",
                          upstream->path_length, CFGS_UPSTREAM_PATH_MAX);
    return CFGS_OK;
}

/* Who never gets a state of its own leaves the dead producer's as it was. */
static uint64_t mark_of(const cfgs_publisher *publisher)
{
    return publisher->inherits ? INFO_RELAYED_LATER : INFO_RELAYED;
}

static void fill(struct arena_info *info, const cfgs_upstream *upstream)
{
    struct arena_info fresh = {0};

    memcpy(fresh.control_path, info->control_path, sizeof fresh.control_path);
    if (upstream->origin != NULL)
        memcpy(fresh.origin, upstream->origin, strlen(upstream->origin));
    else
        memcpy(fresh.origin, info->origin, sizeof fresh.origin);
    if (upstream->address != NULL)
        memcpy(fresh.relay_address, upstream->address, strlen(upstream->address));
    fresh.relay_path_length = upstream->path_length;
    memcpy(fresh.relay_path, upstream->path, 16 * (size_t)upstream->path_length);
    fresh.relay_wire_base = upstream->wire_base;
    bool relayed = upstream->origin != NULL || upstream->address != NULL || upstream->path_length > 0 ||
                   upstream->wire_base != 0;
    fresh.relayed = relayed ? INFO_RELAYED : INFO_OWN;
    *info = fresh;
}

void upstream_show(cfgs_publisher *publisher)
{
    struct arena_header *header = publisher->file.header;

    /* [beat] relaxed: stamps for people and for staleness of seconds; nothing is ordered by them. */
    word_store_relaxed(&header->relay_contact_ns, publisher->contact_ns);
    word_store_relaxed(&header->relay_connected, publisher->connected);
}

void upstream_inherit(cfgs_publisher *publisher, bool inherits)
{
    publisher->inherits = inherits;
    if (publisher->info.relayed == INFO_OWN)
        return;
    publisher->info.relayed = mark_of(publisher);
    info_store(publisher->file.header, &publisher->info);
}

static void tell(cfgs_publisher *publisher, struct arena_info info)
{
    if (info.relayed != INFO_OWN)
        info.relayed = mark_of(publisher);
    if (memcmp(&info, &publisher->info, sizeof info) == 0)
        return;
    publisher->info = info;
    info_store(publisher->file.header, &publisher->info);
    if (publisher->info.relayed == INFO_OWN) {
        publisher->contact_ns = 0;
        publisher->connected = false;
        upstream_show(publisher);
    }
    publisher_wake(publisher); /* who passes it on looks at it between updates, too */
}

void upstream_commit(cfgs_publisher *publisher, const cfgs_batch *batch)
{
    if (batch->has_upstream)
        tell(publisher, batch->upstream);
}

int cfgs_publisher_set_upstream(cfgs_publisher *publisher, const cfgs_upstream *upstream)
{
    struct arena_info info = publisher->info;

    if (fork_guard_forked(&publisher->guard))
        return CFGS_ERR_FORKED;
    if (publisher->lost)
        return detail_set(&publisher->detail, CFGS_ERR_LOCKED, 0, "another producer has taken %s", publisher->name.path);
    int err = check(publisher, upstream);
    if (err != CFGS_OK)
        return err;
    fill(&info, upstream);
    if (publisher->batch.open) {
        publisher->batch.has_upstream = true;
        publisher->batch.upstream = info;
    } else {
        tell(publisher, info);
    }
    return CFGS_OK;
}

void cfgs_publisher_touch_upstream(cfgs_publisher *publisher, bool connected)
{
    if (fork_guard_forked(&publisher->guard) || publisher->lost)
        return;
    publisher->connected = connected;
    if (connected)
        publisher->contact_ns = clock_ns(CLOCK_BOOTTIME);
    upstream_show(publisher);
}

void cfgs_publisher_instance_id(const cfgs_publisher *publisher, uint8_t instance_id[16])
{
    memcpy(instance_id, publisher->own.instance_id, sizeof publisher->own.instance_id);
}
