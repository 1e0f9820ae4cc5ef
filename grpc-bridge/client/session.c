/* client/session.c  SPDX-License-Identifier: Apache-2.0 */
#include "client/session.h"

#include "base/clock.h"

#include <inttypes.h>
#include <openssl/crypto.h>
#include <string.h>

enum {
    DEFAULT_INTERVAL_S = 10,
    INTERVAL_MAX_S = 60 * 60,
    AWAIT_AGAIN_MS = 10 * 60 * 1000,
    FRESH_SESSION_MS = 5000 /* a session refused at this age is no session that has expired */
};

static const char STREAM_PATH[] = "/datadog.api.v1.AgentSecure/StreamConfigEvents";
static const char NOT_ENABLED[] = "remote agent registry not enabled";

/* ---- calls ------------------------------------------------------------------------------------------------------- */

static void call_unary(struct machine *machine, enum unary_kind kind, const char *path)
{
    struct failure failure;
    machine->unary.message_max = RPC_UNARY_MAX_BYTES;
    if (transport_call(machine->transport, &machine->unary, path, NULL, machine->setup.call_timeout_ms, &failure) !=
        CFGS_OK) {
        machine_fail_at_peer(machine, &failure);
        return;
    }
    machine->unary_kind = kind;
    machine->unary_until_ms = machine->now + machine->setup.call_timeout_ms;
}

static void register_now(struct machine *machine)
{
    machine->info.state = CFGS_REMOTE_REGISTERING;
    rpc_clear(&machine->unary);
    if (!registration_ask(&machine->setup, &machine->unary))
        machine_fail_memory(machine);
    else
        call_unary(machine, UNARY_REGISTER, registration_register_path(machine->legacy));
}

static void begin_registration(struct machine *machine)
{
    machine->tried_other_name = false;
    register_now(machine);
}

/* ---- the stream -------------------------------------------------------------------------------------------------- */

static void say_snapshot(void *context, uint64_t sequence, size_t settings)
{
    struct machine *machine = context;
    report_line(&machine->report, REPORT_SNAPSHOT, CFGS_REMOTE_INFO,
                "applying snapshot (seq %" PRIu64 ", %zu settings)", sequence, settings);
}

static int stream_began(void *context, struct failure *failure)
{
    struct machine *machine = context;
    int error = apply_begin(&machine->apply, machine->setup.address, machine->stream.wire_base, machine->stream.path,
                            failure);
    if (error == CFGS_OK)
        report_line(&machine->report, REPORT_STREAM, CFGS_REMOTE_INFO, "stream established with %s, session %.*s",
                    machine->info.peer, SESSION_SHOWN_BYTES, machine->session);
    return error;
}

static void note_first_snapshot(struct machine *machine)
{
    machine->ready = true;
    machine->info.first_snapshot_ms = now_ms() - machine->opened_ms;
    report_line(&machine->report, REPORT_OTHER, CFGS_REMOTE_INFO, "first snapshot applied after %" PRId64 " ms",
                machine->info.first_snapshot_ms);
}

static int stream_took(void *context, const uint8_t *message, size_t length, struct failure *failure)
{
    struct machine *machine = context;
    int error = apply_message(&machine->apply, message, length, failure);
    failure->permanent = error == CFGS_ERR_LOCKED || error == CFGS_ERR_FORKED; /* the arena is another's now */
    if (error != CFGS_OK)
        return error;
    if (machine->info.state != CFGS_REMOTE_STREAMING) {
        machine->info.state = CFGS_REMOTE_STREAMING;
        machine->info.error = CFGS_OK;
        machine->info.grpc_status = -1;
        machine->info.message[0] = '\0';
        machine->applied = true;
        machine->touched_ms = 0;
    }
    if (!machine->ready)
        note_first_snapshot(machine);
    return CFGS_OK;
}

static void subscribe(struct machine *machine)
{
    struct failure failure;
    machine->info.state = CFGS_REMOTE_SUBSCRIBING;
    machine->refresh_ms = machine->now + machine->interval_ms;
    transport_forget(machine->transport, &machine->stream);
    if (!registration_ask_stream(&machine->setup, &machine->stream)) {
        machine_fail_memory(machine);
        return;
    }
    machine->stream.streaming = true;
    machine->stream.message_max = machine->setup.max_message_bytes;
    machine->stream.begin = stream_began;
    machine->stream.take = stream_took;
    machine->stream.context = machine;
    if (transport_call(machine->transport, &machine->stream, STREAM_PATH, machine->session, 0, &failure) != CFGS_OK) {
        machine_fail_at_peer(machine, &failure);
        return;
    }
    machine->info.counters.streams++;
    machine->await_ms = machine->now + machine->setup.call_timeout_ms;
    if (!machine->ready)
        report_line(&machine->report, REPORT_WAITING, CFGS_REMOTE_INFO, "waiting for initial configuration from %s",
                    machine->info.peer);
}

void session_awaits(struct machine *machine)
{
    machine->await_ms = machine->now + AWAIT_AGAIN_MS;
    machine->info.error = CFGS_OK; /* what failed before is over */
    machine->info.grpc_status = -1;
    snprintf(machine->info.message, sizeof machine->info.message,
             "the stream is open, but %s has no configuration to send yet", machine->info.peer);
    report_line(&machine->report, REPORT_OTHER, CFGS_REMOTE_WARN, "%s%s", machine->info.message,
                machine->options.relay ? "; if it is a relay, too, see whom that one follows" : "");
}

/* ---- sessions ---------------------------------------------------------------------------------------------------- */

static void drop_session(struct machine *machine)
{
    OPENSSL_cleanse(machine->session, sizeof machine->session);
    machine->info.session_prefix[0] = '\0';
}

/* Does this status speak of the session, and not of us?  UNAUTHENTICATED may be about either (upstream-facts 2.5). */
static bool is_about_session(const struct failure *failure, const char *message)
{
    return failure->grpc_status == GRPC_PERMISSION_DENIED || failure->grpc_status == GRPC_NOT_FOUND ||
           (failure->grpc_status == GRPC_UNAUTHENTICATED && strstr(message, "session_id"));
}

/* A session of an earlier connection, however young, says nothing against this server: it may be another one by now. */
static bool is_session_fresh(const struct machine *machine)
{
    return machine->session_ms >= transport_up_ms(machine->transport) &&
           machine->now - machine->session_ms < FRESH_SESSION_MS;
}

static void session_refused(struct machine *machine, struct failure *failure)
{
    bool fresh = is_session_fresh(machine), again = fresh && machine->refused_fresh;
    machine->refused_fresh = fresh;
    failure->code = CFGS_ERR_SESSION;
    machine->info.counters.sessions_refused++;
    machine_censor(machine, failure->text);
    report_line(&machine->report, REPORT_SESSION, CFGS_REMOTE_WARN, "dropping session %.*s: %s", SESSION_SHOWN_BYTES,
                machine->session, failure->text);
    drop_session(machine);
    if (again || machine->options.once || transport_is_leaving(machine->transport)) {
        machine_fail_at_peer(machine, failure);
        return;
    }
    if (machine->info.state == CFGS_REMOTE_STREAMING)
        cfgs_publisher_touch_upstream(machine->options.publisher, false);
    transport_forget(machine->transport, &machine->stream);
    transport_forget(machine->transport, &machine->unary);
    machine->unary_kind = UNARY_NONE;
    begin_registration(machine);
}

static void take_session(struct machine *machine, const struct registration *registration)
{
    uint32_t interval = registration->interval_s ? registration->interval_s : DEFAULT_INTERVAL_S;
    bool again = machine->info.counters.registrations++ > 0;
    memcpy(machine->session, registration->session, sizeof machine->session);
    snprintf(machine->info.session_prefix, sizeof machine->info.session_prefix, "%.*s", SESSION_SHOWN_BYTES,
             machine->session);
    machine->interval_ms = 1000 * (int64_t)(interval < INTERVAL_MAX_S ? interval : INTERVAL_MAX_S);
    machine->session_ms = machine->session_used_ms = machine->now;
    report_line(&machine->report, REPORT_REGISTERED, CFGS_REMOTE_INFO,
                "%s: flavor '%s', session %s, to be refreshed every %" PRId64 " s",
                again ? "re-registered" : "remote agent registered", machine->setup.flavor, machine->info.session_prefix,
                machine->interval_ms / 1000);
    subscribe(machine);
}

/* ---- what ended -------------------------------------------------------------------------------------------------- */

/* True: the other name of the service was asked. */
static bool try_other_name(struct machine *machine)
{
    if (machine->tried_other_name)
        return false;
    machine->tried_other_name = true;
    machine->legacy = !machine->legacy;
    register_now(machine);
    return true;
}

static void registration_failed(struct machine *machine, struct failure *failure)
{
    bool disabled = strstr(machine->unary.message, NOT_ENABLED) != NULL;
    bool unknown = failure->grpc_status == GRPC_UNIMPLEMENTED && !disabled;
    if (unknown && try_other_name(machine))
        return;
    failure->slow = failure->grpc_status == GRPC_UNIMPLEMENTED && disabled;
    failure->permanent = unknown || failure->grpc_status == GRPC_INVALID_ARGUMENT;
    if (failure->grpc_status == GRPC_UNAUTHENTICATED)
        failure->code = CFGS_ERR_UNAUTHENTICATED;
    machine_fail_at_peer(machine, failure);
}

static void registration_ended(struct machine *machine)
{
    struct failure failure;
    struct registration registration;
    if (rpc_outcome(&machine->unary, "registration", &failure) != CFGS_OK) {
        registration_failed(machine, &failure);
        return;
    }
    if (registration_take(&machine->unary, &registration, &failure) == CFGS_OK) {
        take_session(machine, &registration);
        OPENSSL_cleanse(&registration, sizeof registration);
    } else {
        machine->info.counters.malformed++;
        machine_fail_at_peer(machine, &failure);
    }
}

static void refresh_failed(struct machine *machine, struct failure *failure)
{
    machine->info.counters.refresh_failures++;
    machine_censor(machine, failure->text);
    report_line(&machine->report, REPORT_SESSION, CFGS_REMOTE_WARN, "%s; trying again in %" PRId64 " s", failure->text,
                machine->interval_ms / 1000);
}

void session_refresh(struct machine *machine)
{
    struct failure failure;
    machine->refresh_ms = machine->now + machine->interval_ms;
    rpc_clear(&machine->unary);
    if (!transport_has_room(machine->transport)) { /* calls would wait, more and more of them */
        failure_set(&failure, CFGS_ERR_REFUSED, "refresh: the server lets no call be made beside the stream");
        refresh_failed(machine, &failure);
    } else if (!registration_ask_refresh(machine->session, &machine->unary)) {
        machine_fail_memory(machine);
    } else {
        call_unary(machine, UNARY_REFRESH, registration_refresh_path(machine->legacy));
    }
}

/* Only a refused session matters: while the stream is open the core hears of us, and a broken connection shows there. */
static void refresh_ended(struct machine *machine)
{
    struct failure failure;
    if (rpc_outcome(&machine->unary, "refresh", &failure) == CFGS_OK) {
        machine->info.counters.refreshes++;
        machine->session_used_ms = machine->now;
        return;
    }
    if (is_about_session(&failure, machine->unary.message)) {
        machine->info.counters.refresh_failures++;
        session_refused(machine, &failure);
    } else {
        refresh_failed(machine, &failure);
    }
}

void session_unary_ended(struct machine *machine)
{
    enum unary_kind kind = machine->unary_kind;
    machine->unary_kind = UNARY_NONE;
    if (kind == UNARY_REGISTER)
        registration_ended(machine);
    else
        refresh_ended(machine);
}

void session_stream_ended(struct machine *machine)
{
    struct failure failure;
    struct rpc *stream = &machine->stream;
    if (rpc_outcome(stream, "the stream", &failure) == CFGS_OK) {
        failure_set(&failure, CFGS_ERR_REFUSED, "the server ended the stream with OK");
        failure.grpc_status = GRPC_OK;
    }
    if (failure.code == CFGS_ERR_PROTOCOL && !stream->refused) /* apply.c counts its own */
        machine->info.counters.malformed++;
    if (!stream->broken && is_about_session(&failure, stream->message)) {
        session_refused(machine, &failure);
        return;
    }
    if (failure.grpc_status == GRPC_UNAUTHENTICATED)
        failure.code = CFGS_ERR_UNAUTHENTICATED;
    if (failure.grpc_status == GRPC_UNIMPLEMENTED) {
        failure.slow = strstr(stream->message, NOT_ENABLED) != NULL;
        failure.permanent = !failure.slow;
    }
    machine_fail_at_peer(machine, &failure);
}

void session_unary_late(struct machine *machine)
{
    struct failure failure;
    enum unary_kind kind = machine->unary_kind;
    machine->unary_kind = UNARY_NONE;
    transport_forget(machine->transport, &machine->unary);
    failure_set(&failure, CFGS_ERR_UNREACHABLE, "%s: no answer in %" PRIu32 " ms",
                kind == UNARY_REFRESH ? "refresh" : "registration", machine->setup.call_timeout_ms);
    if (kind == UNARY_REFRESH)
        refresh_failed(machine, &failure);
    else
        machine_fail_at_peer(machine, &failure);
}

/* ---- beginning --------------------------------------------------------------------------------------------------- */

void session_init(struct machine *machine)
{
    rpc_clear(&machine->stream);
    rpc_clear(&machine->unary);
    machine->apply = (struct apply){.publisher = machine->options.publisher, .relay = machine->options.relay,
                                    .hooks = &machine->options.hooks, .info = &machine->info, .say = say_snapshot,
                                    .context = machine};
}

void session_open(struct machine *machine)
{
    if (machine->session[0] && machine->now - machine->session_used_ms < machine->interval_ms)
        subscribe(machine);
    else
        begin_registration(machine);
}
