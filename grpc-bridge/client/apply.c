/* client/apply.c  SPDX-License-Identifier: Apache-2.0 */
#include "client/apply.h"

#include <configstream/encoded.h>
#include <inttypes.h>
#include <string.h>

/* Each restart costs every reader the address space of an arena: more of them within one stream are not followed at once. */
#define RESTARTS_MAX 16

/* ---- where it comes from ----------------------------------------------------------------------------------------- */

/* A configuration that came from our own arena would go round for ever; and there has to be an end. */
static int refuse_loop(const struct apply *apply, struct failure *failure)
{
    uint8_t own[16];
    cfgs_publisher_instance_id(apply->publisher, own);
    for (unsigned i = 0; i < apply->path.count; i++)
        if (memcmp(apply->path.ids[i], own, sizeof own) == 0) {
            failure_set(failure, CFGS_ERR_LOOP, "the configuration comes from this relay itself, %u step%s up", i + 1,
                        i == 0 ? "" : "s");
            failure->slow = true;
            return failure->code;
        }
    if (apply->path.count <= CFGS_UPSTREAM_PATH_MAX)
        return CFGS_OK;
    failure_set(failure, CFGS_ERR_LOOP, "the configuration comes through more than %d arenas", CFGS_UPSTREAM_PATH_MAX);
    failure->slow = true;
    return failure->code;
}

int apply_begin(struct apply *apply, const char *address, const char *base, const char *path, struct failure *failure)
{
    apply->wire_base = apply->last = 0;
    apply->has_snapshot = false;
    apply->restarts = 0;
    snprintf(apply->address, sizeof apply->address, "%s", address);
    bool base_is_sound = !*base || path_parse_base(base, &apply->wire_base);
    if (!base_is_sound || !path_parse(path, &apply->path)) {
        apply->info->counters.malformed++;
        return failure_set(failure, CFGS_ERR_PROTOCOL, "the metadata %s", base_is_sound
                               ? "configstream-path is no list of at most 9 UUIDs" : "configstream-wire-base is no number");
    }
    return apply->relay ? refuse_loop(apply, failure) : CFGS_OK;
}

/* Readers are told before they see anything of it; of a snapshot, once nothing refuses that any more. */
static int tell_upstream(struct apply *apply, const char *origin, struct failure *failure)
{
    if (apply->has_snapshot && strcmp(apply->origin, origin) == 0)
        return CFGS_OK;
    struct cfgs_upstream upstream = {.origin = *origin ? origin : NULL, .address = apply->address,
                                     .path_length = apply->path.count, .wire_base = apply->wire_base};
    if (upstream.path_length > CFGS_UPSTREAM_PATH_MAX)
        upstream.path_length = CFGS_UPSTREAM_PATH_MAX; /* the farthest one is not told */
    memcpy(upstream.path, apply->path.ids, sizeof upstream.path);
    int error = cfgs_publisher_set_upstream(apply->publisher, &upstream);
    if (error == CFGS_ERR_INVALID)
        return failure_set(failure, CFGS_ERR_PROTOCOL, "the event names an origin that cannot be one");
    if (error != CFGS_OK)
        return failure_set(failure, error, "the stream's origin cannot be noted: %s", cfgs_strerror(error));
    snprintf(apply->origin, sizeof apply->origin, "%s", origin);
    return CFGS_OK;
}

/* ---- settings ---------------------------------------------------------------------------------------------------- */

/* The publisher's refusal of somebody else's bytes is the sender's fault; the rest is about this host. */
static bool is_senders_fault(int error)
{
    return error == CFGS_ERR_CORRUPT || error == CFGS_ERR_INVALID || error == CFGS_ERR_TOO_LARGE ||
           error == CFGS_ERR_ENCODING;
}

static const char *words_of(const struct apply *apply, int error)
{
    const cfgs_error_detail *detail = cfgs_publisher_error(apply->publisher);
    return detail && detail->code == error && detail->message[0] ? detail->message : cfgs_strerror(error);
}

static int refuse_setting(struct apply *apply, int error, uint64_t sequence, struct failure *failure)
{
    if (!is_senders_fault(error))
        return failure_set(failure, error, "event #%" PRIu64 " cannot be applied: %s", sequence,
                           words_of(apply, error));
    apply->info->counters.malformed++;
    return failure_set(failure, CFGS_ERR_PROTOCOL, "event #%" PRIu64 " holds a setting that is none: %s", sequence,
                       error == CFGS_ERR_CORRUPT ? "no valid ConfigSetting" : cfgs_strerror(error));
}

/* relaxed: it only spares work; what ends the thread is the engine's descriptor. */
static bool is_stopping(const struct apply *apply)
{
    return atomic_load_explicit(apply->stopping, memory_order_relaxed);
}

/* What is received may be made to take long: whoever closes does not wait for that. */
static int stage(const struct apply *apply, cfgs_batch *batch, const struct config_event *event)
{
    const uint8_t *at = event->body, *setting;
    size_t length;
    int error = CFGS_OK;
    while (error == CFGS_OK && config_event_next(event, &at, &setting, &length))
        error = is_stopping(apply) ? CFGS_ERR_INTERRUPTED : cfgs_batch_set_encoded(batch, setting, length);
    return error;
}

/* What is invalid about a commit can only be the ID, and that the sender chose. */
static int commit_failed(const struct apply *apply, int error, uint64_t sequence, struct failure *failure)
{
    bool bad_id = error == CFGS_ERR_INVALID;
    apply->info->counters.malformed += bad_id;
    return failure_set(failure, bad_id ? CFGS_ERR_PROTOCOL : error, "snapshot #%" PRIu64 " cannot be applied: %s", sequence,
                       words_of(apply, error));
}

static int apply_snapshot(struct apply *apply, const struct config_event *event, uint64_t sequence,
                          struct failure *failure)
{
    uint8_t before[16], after[16];
    cfgs_batch *batch;
    cfgs_publisher_instance_id(apply->publisher, before);
    apply->say(apply->context, sequence, event->settings);
    int error = cfgs_batch_begin(apply->publisher, &batch);
    if (error != CFGS_OK)
        return commit_failed(apply, error, sequence, failure);
    cfgs_batch_snapshot(batch, sequence);
    error = stage(apply, batch, event);
    error = error != CFGS_OK ? refuse_setting(apply, error, sequence, failure)
                             : tell_upstream(apply, event->origin, failure);
    if (error != CFGS_OK) {
        cfgs_batch_abort(batch);
        return error;
    }
    error = cfgs_batch_commit(batch, NULL);
    if (error != CFGS_OK)
        return commit_failed(apply, error, sequence, failure);
    cfgs_publisher_instance_id(apply->publisher, after);
    apply->restarts += apply->has_snapshot && memcmp(before, after, sizeof before) != 0;
    apply->info->counters.snapshots++;
    return CFGS_OK;
}

static int apply_update(struct apply *apply, const struct config_event *event, struct engine_event *told,
                        struct failure *failure)
{
    const uint8_t *at = event->body;
    int error = tell_upstream(apply, event->origin, failure);
    if (error != CFGS_OK)
        return error;
    config_event_next(event, &at, &told->setting, &told->setting_length);
    error = cfgs_publisher_set_encoded(apply->publisher, told->sequence, told->setting, told->setting_length);
    if (error != CFGS_OK)
        return refuse_setting(apply, error, told->sequence, failure);
    apply->info->counters.updates++;
    return CFGS_OK;
}

/* ---- order ------------------------------------------------------------------------------------------------------- */

static int check_order(struct apply *apply, const struct config_event *event, uint64_t sequence,
                       struct failure *failure)
{
    if (event->is_snapshot && apply->restarts == RESTARTS_MAX && sequence <= apply->last) {
        failure_set(failure, CFGS_ERR_PROTOCOL, "the source began anew more than %d times in one stream", RESTARTS_MAX);
        failure->slow = true;
        return failure->code;
    }
    if (event->is_snapshot || (apply->has_snapshot && sequence == apply->last + 1))
        return CFGS_OK;
    if (!apply->has_snapshot) {
        apply->info->counters.stale++;
        return failure_set(failure, CFGS_ERR_PROTOCOL, "update #%" PRIu64 " came before any snapshot", sequence);
    }
    if (sequence <= apply->last) {
        apply->info->counters.stale++;
        return failure_set(failure, CFGS_ERR_PROTOCOL, "update #%" PRIu64 " came after #%" PRIu64 ": repeated", sequence,
                           apply->last);
    }
    apply->info->counters.gaps++;
    return failure_set(failure, CFGS_ERR_PROTOCOL, "update #%" PRIu64 " came after #%" PRIu64 ": a gap", sequence,
                       apply->last);
}

static int read_event(struct apply *apply, const uint8_t *message, size_t length, struct config_event *event,
                      uint64_t *sequence, struct failure *failure)
{
    const char *wrong = config_event_read(message, length, event);
    if (!wrong && event->sequence > UINT64_MAX - apply->wire_base)
        wrong = "has an ID that overflows";
    if (!wrong) {
        *sequence = apply->wire_base + event->sequence;
        return CFGS_OK;
    }
    apply->info->counters.malformed++;
    return failure_set(failure, CFGS_ERR_PROTOCOL, "the event %s", wrong);
}

static void applied(struct apply *apply, const struct engine_event *told)
{
    apply->has_snapshot = true;
    apply->last = apply->info->sequence = told->sequence;
    if (apply->hooks->event)
        apply->hooks->event(apply->hooks->context, told);
}

int apply_message(struct apply *apply, const uint8_t *message, size_t length, struct failure *failure)
{
    struct config_event event;
    struct engine_event told = {.bytes = length};
    int error = read_event(apply, message, length, &event, &told.sequence, failure);
    if (error == CFGS_OK)
        error = check_order(apply, &event, told.sequence, failure);
    if (error != CFGS_OK)
        return error;
    told.kind = event.is_snapshot ? ENGINE_SNAPSHOT : ENGINE_UPDATE;
    if (event.is_snapshot) {
        told.settings = event.settings;
        error = apply_snapshot(apply, &event, told.sequence, failure);
    } else {
        error = apply_update(apply, &event, &told, failure);
    }
    if (error == CFGS_OK)
        applied(apply, &told);
    return error;
}
