/* batch.c: staging changes.  SPDX-License-Identifier: Apache-2.0 */
#include "detail.h"
#include "publisher_private.h"
#include <configstream/error.h>

#define BATCH_KEEP_BYTES (UINT64_C(1) << 20)

int batch_stage(cfgs_batch *batch, const struct record_input *input)
{
    struct change change = {.image_at = batch->images.length, .hash = input->hash, .removes = input->value == NULL};

    if (!buffer_reserve(&batch->changes, sizeof change))
        return detail_set(&batch->publisher->detail, CFGS_ERR_MEMORY, 0, "out of memory");
    int err = record_append(&batch->images, input);
    if (err != CFGS_OK)
        return detail_set(&batch->publisher->detail, err, 0, "setting '%.*s': %s",
                          (int)(input->key.length < 200 ? input->key.length : 200), input->key.data,
                          cfgs_strerror(err));
    change.bytes = batch->images.length - change.image_at;
    memcpy(batch->changes.data + batch->changes.length, &change, sizeof change);
    batch->changes.length += sizeof change;
    return CFGS_OK;
}

void batch_reset(cfgs_batch *batch)
{
    batch->images.length = batch->changes.length = 0;
    batch->open = batch->replace = batch->has_at = batch->snapshot = batch->always = batch->has_upstream = false;
    batch->at = 0;
}

void batch_free(cfgs_batch *batch)
{
    buffer_free(&batch->images);
    buffer_free(&batch->changes);
}

/* A large batch is rare (a first load, a snapshot, one huge value): its memory is given back. */
static void end_batch(cfgs_batch *batch)
{
    batch_reset(batch);
    if (batch->images.capacity + batch->changes.capacity > BATCH_KEEP_BYTES)
        batch_free(batch);
}

static int stage_set(cfgs_batch *batch, const cfgs_setting *setting, int unset_source)
{
    cfgs_publisher *publisher = batch->publisher;
    const char *name = cfgs_source_name(setting->source);
    struct record_input input = {.key = setting->key,
                                 .value = &setting->value,
                                 .source = setting->source,
                                 .source_name = setting->source_name,
                                 .unset_source = unset_source,
                                 .flags = setting->flags};

    if (name != NULL && setting->source != CFGS_SOURCE_NONE)
        input.source_name = (cfgs_bytes){name, strlen(name)};
    else if (setting->source != CFGS_SOURCE_VERBATIM || setting->source_name.length == 0)
        return detail_set(&publisher->detail, CFGS_ERR_INVALID, 0, "source %d is not one a setting can have",
                          setting->source);
    if (setting->key.length <= CFGS_KEY_MAX_BYTES)
        input.hash = index_hash(setting->key.data, setting->key.length, publisher->geometry.hash_seed);
    return batch_stage(batch, &input);
}

static int stage_removal(cfgs_batch *batch, const char *key, size_t length, int unset_source)
{
    struct record_input input = {.key = {key, length}, .unset_source = unset_source};

    if (length <= CFGS_KEY_MAX_BYTES)
        input.hash = index_hash(key, length, batch->publisher->geometry.hash_seed);
    return batch_stage(batch, &input);
}

/* ---- one setting ------------------------------------------------------------------------------------------------- */

int batch_usable(cfgs_publisher *publisher)
{
    if (fork_guard_forked(&publisher->guard))
        return CFGS_ERR_FORKED;
    if (publisher->lost)
        return detail_set(&publisher->detail, CFGS_ERR_LOCKED, 0, "another producer has taken %s", publisher->name.path);
    if (publisher->batch.open)
        return detail_set(&publisher->detail, CFGS_ERR_INVALID, 0, "a batch is open: commit or abort it first");
    return CFGS_OK;
}

int batch_commit_single(cfgs_publisher *publisher, int staged, uint64_t *changes)
{
    int err = staged == CFGS_OK ? publisher_commit(publisher, &publisher->single, changes) : staged;

    end_batch(&publisher->single);
    return err;
}

static int commit_single(cfgs_publisher *publisher, int staged, bool *changed)
{
    uint64_t changes = 0;
    int err = batch_commit_single(publisher, staged, &changes);

    if (err == CFGS_OK && changed != NULL)
        *changed = changes > 0;
    return err;
}

int cfgs_publisher_set(cfgs_publisher *publisher, const cfgs_setting *setting, int unset_source, bool *changed)
{
    int err = batch_usable(publisher);
    return err == CFGS_OK ? commit_single(publisher, stage_set(&publisher->single, setting, unset_source), changed)
                          : err;
}

int cfgs_publisher_remove(cfgs_publisher *publisher, const char *key, size_t length, int unset_source, bool *changed)
{
    int err = batch_usable(publisher);
    return err == CFGS_OK
               ? commit_single(publisher, stage_removal(&publisher->single, key, length, unset_source), changed)
               : err;
}

/* ---- batches ----------------------------------------------------------------------------------------------------- */

int cfgs_batch_begin(cfgs_publisher *publisher, cfgs_batch **out)
{
    int err = batch_usable(publisher);
    if (err != CFGS_OK)
        return err;
    batch_reset(&publisher->batch);
    publisher->batch.open = true;
    *out = &publisher->batch;
    return CFGS_OK;
}

int batch_ended(cfgs_batch *batch)
{
    return detail_set(&batch->publisher->detail, CFGS_ERR_INVALID, 0, "the batch has ended");
}

int cfgs_batch_set(cfgs_batch *batch, const cfgs_setting *setting, int unset_source)
{
    return batch->open ? stage_set(batch, setting, unset_source) : batch_ended(batch);
}

int cfgs_batch_remove(cfgs_batch *batch, const char *key, size_t length, int unset_source)
{
    return batch->open ? stage_removal(batch, key, length, unset_source) : batch_ended(batch);
}

void cfgs_batch_replace(cfgs_batch *batch)
{
    batch->replace = true;
}

void cfgs_batch_at(cfgs_batch *batch, uint64_t sequence)
{
    batch->has_at = true;
    batch->at = sequence;
}

int cfgs_batch_commit(cfgs_batch *batch, uint64_t *changes)
{
    uint64_t taken = 0;
    int err = fork_guard_forked(&batch->publisher->guard) ? CFGS_ERR_FORKED
              : !batch->open                              ? batch_ended(batch)
                                                          : publisher_commit(batch->publisher, batch, &taken);
    end_batch(batch);
    if (err == CFGS_OK && changes != NULL)
        *changes = taken;
    return err;
}

void cfgs_batch_abort(cfgs_batch *batch)
{
    if (batch != NULL)
        end_batch(batch);
}
