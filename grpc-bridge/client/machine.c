/* client/machine.c  SPDX-License-Identifier: Apache-2.0 */
#include "client/session.h"

#include "base/clock.h"
#include "client/text.h"
#include "shm/detail.h"

#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <string.h>

enum {
    TICK_MS = 500,
    TOUCH_MS = 100,
    FILES_LOOK_MS = 500,
    SETTLED_FACTOR = 10, /* a connection that lived so many shortest pauses was a good one */
    KEEPALIVE_MAX_MS = 60 * 60 * 1000
};

static bool has_connection(const struct machine *machine)
{
    return machine->transport != NULL;
}

/* ---- failures ---------------------------------------------------------------------------------------------------- */

static void hang_up(struct machine *machine)
{
    if (machine->transport) {
        transport_forget(machine->transport, &machine->stream);
        transport_forget(machine->transport, &machine->unary);
        transport_close(machine->transport);
    }
    machine->transport = NULL;
    machine->unary_kind = UNARY_NONE;
    machine->info.peer[0] = '\0';
    if (machine->info.state == CFGS_REMOTE_STREAMING)
        cfgs_publisher_touch_upstream(machine->options.publisher, false);
}

void machine_censor(const struct machine *machine, char *text)
{
    static const size_t SCHEME_BYTES = sizeof "Bearer " - 1;
    text_hide(text, machine->session, SESSION_SHOWN_BYTES);
    if (machine->access.authorization)
        text_hide(text, machine->access.authorization + SCHEME_BYTES, 0);
    for (; *text; text++) /* names of files may hold anything, and it has to stay one line */
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

static void note_failure(struct machine *machine, const struct failure *failure)
{
    machine->failure = *failure;
    machine_censor(machine, machine->failure.text);
    machine->info.counters.failures++;
    machine->info.error = failure->code;
    machine->info.grpc_status = failure->grpc_status;
    memcpy(machine->info.message, machine->failure.text, sizeof machine->info.message);
}

static void give_up(struct machine *machine)
{
    machine->info.state = CFGS_REMOTE_FAILED;
    machine->retry_ms = 0;
    report_line(&machine->report, REPORT_END, CFGS_REMOTE_ERROR, "stream error: %s; nothing is tried again",
                machine->failure.text);
}

/* A peer that takes connections only to end them must not be able to keep the pause short. */
static bool was_good(const struct machine *machine)
{
    int64_t up = has_connection(machine) ? transport_up_ms(machine->transport) : 0;
    return machine->applied && up &&
           machine->now - up >= SETTLED_FACTOR * (int64_t)machine->setup.backoff_min_ms;
}

static bool files_may_help(int code)
{
    return code == CFGS_ERR_CREDENTIALS || code == CFGS_ERR_UNAUTHENTICATED || code == CFGS_ERR_TLS;
}

static void fail(struct machine *machine, const struct failure *failure)
{
    char pause_text[64];
    note_failure(machine, failure);
    if (was_good(machine))
        backoff_reset(&machine->backoff);
    if (has_connection(machine) && transport_is_pinged_out(machine->transport) &&
        machine->keepalive_ms < KEEPALIVE_MAX_MS) {
        machine->keepalive_ms *= 2;
        report_line(&machine->report, REPORT_OTHER, CFGS_REMOTE_WARN,
                    "the server finds our PINGs too many: from now on one in %" PRId64 " ms", machine->keepalive_ms);
    }
    hang_up(machine);
    if (failure->permanent || machine->options.once) {
        give_up(machine);
        return;
    }
    machine->now = now_ms(); /* not before this turn: it may have taken longer than the pause */
    int64_t pause = failure->slow ? backoff_longest(&machine->backoff) : backoff_pause(&machine->backoff);
    machine->info.state = CFGS_REMOTE_WAITING;
    machine->retry_ms = machine->now + pause;
    machine->watches_files = files_may_help(failure->code);
    snprintf(pause_text, sizeof pause_text, "reconnecting in %.1f s", (double)pause / 1000);
    report_error(&machine->report, "stream error", machine->failure.text, pause_text);
}

void machine_fail_memory(struct machine *machine)
{
    struct failure failure;
    failure_memory(&failure);
    fail(machine, &failure);
}

/* With the address in front: there may be several. */
static void place(const struct machine *machine, const struct failure *failure, struct failure *placed)
{
    *placed = *failure;
    snprintf(placed->text, sizeof placed->text, "%s: %.380s", machine->info.peer, failure->text);
}

void machine_fail_at_peer(struct machine *machine, const struct failure *failure)
{
    struct failure placed;
    place(machine, failure, &placed);
    fail(machine, &placed);
}

/* ---- connecting -------------------------------------------------------------------------------------------------- */

static bool dial_one(struct machine *machine, const struct address *address, struct failure *failure)
{
    const struct transport_options options = {.authority = machine->setup.authority,
                                              .authorization = machine->access.authorization,
                                              .keepalive_ms = machine->keepalive_ms,
                                              .keepalive_timeout_ms = machine->setup.keepalive_timeout_ms};
    SSL *ssl = access_ssl(&machine->access, &machine->setup.access);
    if (!ssl)
        return failure_memory(failure), false;
    machine->transport = transport_open(address, ssl, &options, failure);
    return machine->transport != NULL;
}

/* An address met this.  Of several the one tells most that got farther than not being reached. */
static void note_unreached(struct machine *machine, const struct failure *failure)
{
    struct failure *all = &machine->unreached;
    size_t length = strlen(all->text);
    if (all->code == CFGS_ERR_UNREACHABLE)
        all->code = failure->code;
    snprintf(all->text + length, sizeof all->text - length, "%s%.380s", length ? "; " : "", failure->text);
}

/* The next address that can be dialled at all. */
static void dial(struct machine *machine)
{
    struct failure failure;
    while (machine->next_address < machine->addresses.count) {
        const struct address *address = &machine->addresses.all[machine->next_address++];
        host_port_name(&address->storage, machine->info.peer);
        machine->info.state = CFGS_REMOTE_CONNECTING;
        machine->retry_ms = 0;
        machine->applied = false;
        machine->connect_until_ms = machine->now + machine->setup.connect_timeout_ms;
        if (dial_one(machine, address, &failure))
            return;
        note_unreached(machine, &failure);
    }
    failure = machine->unreached;
    fail(machine, &failure);
}

static void await_files(struct machine *machine, struct failure *failure)
{
    if (machine->options.once) {
        fail(machine, failure);
        return;
    }
    machine_censor(machine, failure->text);
    if (machine->info.state != CFGS_REMOTE_CREDENTIALS || strcmp(machine->failure.text, failure->text) != 0)
        note_failure(machine, failure);
    machine->info.state = CFGS_REMOTE_CREDENTIALS;
    machine->retry_ms = machine->now + FILES_LOOK_MS;
    report_error(&machine->report, "waiting for credentials", failure->text, "looking again twice a second");
}

static void attempt(struct machine *machine)
{
    struct failure failure;
    bool missing = false;
    access_free(&machine->access);
    if (!access_digest(&machine->setup.access, machine->files))
        memset(machine->files, 0, sizeof machine->files);
    if (access_load(&machine->setup.access, &machine->access, &missing, &failure) != CFGS_OK) {
        if (missing)
            await_files(machine, &failure);
        else
            fail(machine, &failure);
        return;
    }
    if (address_resolve(machine->setup.host, machine->setup.port, &machine->addresses, &failure) != CFGS_OK) {
        fail(machine, &failure);
        return;
    }
    machine->now = now_ms(); /* names may have taken their time */
    address_prefer(&machine->addresses, &machine->good);
    machine->next_address = 0;
    failure_set(&machine->unreached, CFGS_ERR_UNREACHABLE, "%s", "");
    dial(machine);
}

/* Until it is up it is only this address that failed. */
static void connection_lost(struct machine *machine, const struct failure *failure)
{
    struct failure placed;
    if (transport_is_up(machine->transport)) {
        machine_fail_at_peer(machine, failure);
        return;
    }
    place(machine, failure, &placed);
    note_unreached(machine, &placed);
    hang_up(machine);
    dial(machine);
}

/* ---- a turn with a connection ------------------------------------------------------------------------------------ */

static void came_up(struct machine *machine)
{
    machine->info.counters.connects++;
    machine->good = machine->addresses.all[machine->next_address - 1];
    session_open(machine);
}

/* An open stream is a sign of life of the session, too. */
static void note_received(struct machine *machine)
{
    uint64_t received = transport_take_received(machine->transport);
    if (!received)
        return;
    machine->info.counters.bytes += received;
    if (transport_is_up(machine->transport))
        machine->heard_ms = machine->now;
    if (machine->info.state != CFGS_REMOTE_STREAMING)
        return;
    machine->session_used_ms = machine->now;
    if (machine->now - machine->touched_ms < TOUCH_MS)
        return;
    machine->touched_ms = machine->now;
    cfgs_publisher_touch_upstream(machine->options.publisher, true);
}

static bool is_over(const struct rpc *rpc)
{
    return rpc->ended || rpc->broken;
}

/* The server owes us something: an answer, or the rest of a message. */
static bool is_owed(const struct rpc *stream)
{
    return stream->stream && (!stream->began || !framer_is_between(&stream->framer));
}

static bool is_stalled(const struct machine *machine)
{
    return is_owed(&machine->stream) && machine->now - machine->stream.data_ms >= machine->setup.call_timeout_ms;
}

/* It owes us nothing, but we have nothing either. */
static bool awaits_first(const struct machine *machine)
{
    return machine->info.state == CFGS_REMOTE_SUBSCRIBING && machine->stream.stream && !is_owed(&machine->stream);
}

static void check_times(struct machine *machine)
{
    struct failure failure;
    if (machine->info.state == CFGS_REMOTE_CONNECTING && machine->now >= machine->connect_until_ms) {
        failure_set(&failure, CFGS_ERR_UNREACHABLE, "%s in %" PRIu32 " ms",
                    transport_is_connected(machine->transport) ? "TCP connects, but TLS and HTTP/2 are not up"
                                                               : "no connection",
                    machine->setup.connect_timeout_ms);
        connection_lost(machine, &failure);
    } else if (machine->unary_kind != UNARY_NONE && machine->now >= machine->unary_until_ms) {
        session_unary_late(machine);
    } else if (is_stalled(machine)) {
        failure_set(&failure, CFGS_ERR_UNREACHABLE,
                    machine->stream.began ? "the stream stalled in the middle of a message"
                                          : "the stream was requested, and no answer came in %" PRIu32 " ms",
                    machine->setup.call_timeout_ms);
        machine_fail_at_peer(machine, &failure);
    } else if (awaits_first(machine) && machine->now >= machine->await_ms) {
        session_awaits(machine);
    } else if (machine->stream.stream && machine->unary_kind == UNARY_NONE && machine->now >= machine->refresh_ms) {
        if (transport_is_leaving(machine->transport)) {
            failure_set(&failure, CFGS_ERR_UNREACHABLE, "the server takes no more calls on this connection");
            machine_fail_at_peer(machine, &failure);
        } else {
            session_refresh(machine);
        }
    }
}

/* What came before the connection ended counts first: the status of a call says more than that. */
static void turn_connection(struct machine *machine)
{
    struct failure failure;
    int error = transport_turn(machine->transport, machine->now, &failure);
    machine->now = now_ms(); /* what came was applied: calls made now have all of their time before them */
    note_received(machine);
    if (machine->info.state == CFGS_REMOTE_CONNECTING && transport_is_up(machine->transport))
        came_up(machine);
    if (has_connection(machine) && machine->unary_kind != UNARY_NONE && is_over(&machine->unary))
        session_unary_ended(machine);
    if (has_connection(machine) && is_over(&machine->stream))
        session_stream_ended(machine);
    if (has_connection(machine) && error != CFGS_OK)
        connection_lost(machine, &failure);
    if (has_connection(machine))
        check_times(machine);
    if (has_connection(machine) && transport_flush(machine->transport, &failure) != CFGS_OK)
        connection_lost(machine, &failure);
}

/* ---- turns ------------------------------------------------------------------------------------------------------- */

static bool files_changed(const struct machine *machine)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    return machine->watches_files && access_digest(&machine->setup.access, digest) &&
           memcmp(digest, machine->files, sizeof digest) != 0;
}

static void tick(struct machine *machine)
{
    const struct engine_hooks *hooks = &machine->options.hooks;
    machine->tick_ms = machine->now + TICK_MS;
    if (machine->options.beat)
        cfgs_publisher_beat(machine->options.publisher);
    if (machine->info.state == CFGS_REMOTE_FAILED)
        return;
    int error = hooks->tick ? hooks->tick(hooks->context, machine->options.publisher) : CFGS_OK;
    if (error != CFGS_OK) {
        struct failure failure;
        failure_set(&failure, error, "%s", cfgs_strerror(error));
        failure.permanent = true;
        fail(machine, &failure);
    } else if (machine->info.state == CFGS_REMOTE_WAITING && files_changed(machine)) {
        machine->retry_ms = machine->now;
    }
}

void machine_turn(struct machine *machine, int64_t now)
{
    machine->now = now;
    if (now >= machine->tick_ms)
        tick(machine);
    bool waits = machine->info.state == CFGS_REMOTE_WAITING || machine->info.state == CFGS_REMOTE_CREDENTIALS;
    if (waits && machine->now >= machine->retry_ms)
        attempt(machine);
    if (has_connection(machine))
        turn_connection(machine);
}

static int64_t min_time(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t connection_due(const struct machine *machine)
{
    int64_t due = transport_due(machine->transport);
    if (machine->info.state == CFGS_REMOTE_CONNECTING)
        return min_time(due, machine->connect_until_ms);
    if (machine->unary_kind != UNARY_NONE)
        due = min_time(due, machine->unary_until_ms);
    else if (machine->stream.stream)
        due = min_time(due, machine->refresh_ms);
    if (awaits_first(machine))
        due = min_time(due, machine->await_ms);
    if (is_owed(&machine->stream))
        due = min_time(due, machine->stream.data_ms + machine->setup.call_timeout_ms);
    return due;
}

int64_t machine_due(const struct machine *machine)
{
    bool ticks = machine->options.beat || machine->options.hooks.tick ||
                 (machine->info.state == CFGS_REMOTE_WAITING && machine->watches_files);
    int64_t due = ticks ? machine->tick_ms : INT64_MAX;
    if (has_connection(machine))
        return min_time(due, connection_due(machine));
    return machine->info.state == CFGS_REMOTE_FAILED ? due : min_time(due, machine->retry_ms);
}

int machine_fd(const struct machine *machine, short *events)
{
    if (!has_connection(machine))
        return -1;
    *events = transport_events(machine->transport);
    return transport_fd(machine->transport);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

int machine_init(struct machine *machine, const struct engine_options *options)
{
    const cfgs_remote_options *remote = options->remote;
    uint64_t seed;
    *machine = (struct machine){.options = *options, .report = {remote->log, remote->log_context}};
    machine->options.remote = NULL;
    int error = setup_fill(&machine->setup, remote);
    if (error != CFGS_OK)
        return error;
    if (RAND_bytes((unsigned char *)&seed, sizeof seed) != 1)
        return detail_set(remote->detail, CFGS_ERR_SYSTEM, 0, "there are no random numbers");
    backoff_init(&machine->backoff, machine->setup.backoff_min_ms, machine->setup.backoff_max_ms, seed);
    session_init(machine);
    machine->info = (cfgs_remote_info){.state = CFGS_REMOTE_WAITING, .grpc_status = -1, .retry_ms = -1,
                                       .contact_age_ms = -1, .first_snapshot_ms = -1};
    machine->keepalive_ms = machine->setup.keepalive_ms;
    machine->opened_ms = machine->retry_ms = machine->tick_ms = now_ms();
    cfgs_publisher_touch_upstream(options->publisher, false);
    return CFGS_OK;
}

void machine_clear(struct machine *machine)
{
    hang_up(machine);
    rpc_clear(&machine->stream);
    rpc_clear(&machine->unary);
    access_free(&machine->access);
    setup_clear(&machine->setup);
    OPENSSL_cleanse(machine->session, sizeof machine->session);
}
