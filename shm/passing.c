/*
 * passing.c: taking a stream from elsewhere: snapshots and updates as encoded settings, with IDs that are given.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "detail.h"
#include "publisher_private.h"
#include "received.h"
#include <configstream/encoded.h>

/* A builder that held more is given back: large values are rare. */
#define BUILDER_KEEP_BYTES (UINT64_C(1) << 16)

/* Names that are not ours are kept as text. */
static void name_sources(const struct received *received, struct record_input *input)
{
    input->source = cfgs_source_parse(received->source.data, received->source.length);
    input->source_name = received->source;
    input->unset_source = cfgs_source_parse(received->unset_source.data, received->unset_source.length);
    input->unset_source_name = received->unset_source;
}

static int stage(cfgs_batch *batch, const struct received *received, bool is_update)
{
    struct record_input input = {.key = received->key,
                                 .value = &received->value,
                                 .flags = received->local ? CFGS_SETTING_LOCAL : 0};

    name_sources(received, &input);
    if (!is_update) {
        input.unset_source = CFGS_SOURCE_NONE;
    } else if (!received->has_value) { /* as our own removals: nothing but the key and which source was cleared */
        input.value = NULL;
        input.source = CFGS_SOURCE_NONE;
        input.source_name.length = 0;
    }
    if (input.key.length <= CFGS_KEY_MAX_BYTES)
        input.hash = index_hash(input.key.data, input.key.length, batch->publisher->geometry.hash_seed);
    return batch_stage(batch, &input);
}

static int stage_encoded(cfgs_batch *batch, const void *setting, size_t length, bool is_update)
{
    cfgs_publisher *publisher = batch->publisher;
    struct received received;

    if (publisher->builder == NULL && cfgs_builder_new(&publisher->builder) != CFGS_OK)
        return detail_set(&publisher->detail, CFGS_ERR_MEMORY, 0, "out of memory");
    int err = received_parse(setting, length, publisher->builder, &received);
    if (err != CFGS_OK)
        err = detail_set(&publisher->detail, err, 0, "%s",
                         err == CFGS_ERR_CORRUPT ? "not a valid ConfigSetting" : cfgs_strerror(err));
    else
        err = stage(batch, &received, is_update);
    if (length > BUILDER_KEEP_BYTES) {
        cfgs_builder_free(publisher->builder);
        publisher->builder = NULL;
    }
    return err;
}

void cfgs_batch_snapshot(cfgs_batch *batch, uint64_t sequence)
{
    cfgs_batch_replace(batch);
    cfgs_batch_at(batch, sequence);
    batch->snapshot = true;
}

/*
 * More than the arena may ever hold is not collected to be refused at commit: a setting of five bytes on the wire is a record
 * of eighty, and the sender must not choose how much memory that makes.
 */
static int check_amount(const cfgs_batch *batch)
{
    cfgs_publisher *publisher = batch->publisher;

    if (batch->images.length <= publisher->geometry.max_size)
        return CFGS_OK;
    return detail_set(&publisher->detail, CFGS_ERR_NO_SPACE, 0, "%zu settings are more than an arena of %llu bytes can hold",
                      batch_count(batch), (unsigned long long)publisher->geometry.max_size);
}

int cfgs_batch_set_encoded(cfgs_batch *batch, const void *setting, size_t length)
{
    int err = batch->open ? check_amount(batch) : batch_ended(batch);

    return err == CFGS_OK ? stage_encoded(batch, setting, length, false) : err;
}

static int check_next(cfgs_publisher *publisher, uint64_t sequence)
{
    if (publisher->loaded && sequence == publisher->sequence + 1 && sequence <= SEQUENCE_MAX)
        return CFGS_OK;
    return detail_set(&publisher->detail, CFGS_ERR_INVALID, 0, "update %llu does not follow %s %llu",
                      (unsigned long long)sequence, publisher->loaded ? "the last ID," : "a snapshot: there was none since",
                      (unsigned long long)publisher->sequence);
}

int cfgs_publisher_set_encoded(cfgs_publisher *publisher, uint64_t sequence, const void *setting, size_t length)
{
    uint64_t changes = 0;
    int err = batch_usable(publisher);

    if (err == CFGS_OK)
        err = check_next(publisher, sequence);
    if (err != CFGS_OK)
        return err;
    publisher->single.always = true;
    return batch_commit_single(publisher, stage_encoded(&publisher->single, setting, length, true), &changes);
}
