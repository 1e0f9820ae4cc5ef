/* watch.c: an agent that says all it sees, one line of JSON each; on the public interface only.
 *
 *     {"event": "snapshot" | "update" | "end", ...}    what the reader's stream delivers
 *     {"event": "change", ...}                         what a subscription to all keys calls back (--changes)
 *     {"event": "status", ...}                         cfgs_remote_status(), whenever what it says is another thing
 *     {"event": "log", ...}                            the library's own lines
 *
 * It does what lines on its standard input say, and ends with it:
 *
 *     status       cfgs_remote_status() and cfgs_reader_status() now
 *     get KEY      one setting
 *     dump         all of them, as of one point in time
 *     usage        memory, threads and descriptors
 *     quit         close: how long it took, and what is left
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "resolve/json.h"

#include <configstream/configstream.h>
#include <configstream/remote.h>
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOOK_MS 10            /* how often the status is compared */
#define LONGEST_TEXT 4096     /* with --brief longer texts are only counted */
#define LINE_BYTES (CFGS_KEY_MAX_BYTES + 64)

struct watch {
    cfgs_remote_options options;
    bool brief, changes;
    cfgs_error_detail detail;
    cfgs_remote *remote;
    cfgs_reader *reader, *other; /* the other one is the subscription's */
    cfgs_subscription *subscription;
    cfgs_remote_info info;
    char input[LINE_BYTES];
    size_t input_length;
};

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("watch: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

/* ---- saying ------------------------------------------------------------------------------------------------------ */

static const char *error_name(int code)
{
    static const char *const NAMES[] = {
        "OK", "INVALID", "MEMORY", "SYSTEM", "NOT_FOUND", "KIND", "RANGE", "BUFFER", "NOT_READY", "PERMISSION", "UNTRUSTED",
        "NOT_ARENA", "LAYOUT", "FEATURE", "TRUNCATED", "CORRUPT", "BUSY", "LAPPED", "TIMEOUT", "INTERRUPTED", "CLOSED",
        "LOCKED", "NO_SPACE", "TOO_LARGE", "FORKED", "FILESYSTEM", "ENCODING", "SYNTAX", "UNKNOWN_KEY", "CAST_FAILED",
        "BAD_ELEMENT", "CREDENTIALS", "UNREACHABLE", "TLS", "UNAUTHENTICATED", "SESSION", "REFUSED", "PROTOCOL", "LOOP"};
    _Static_assert(sizeof NAMES / sizeof NAMES[0] == 1 - CFGS_ERR_LAST, "each code has its name");
    return code <= 0 && code >= CFGS_ERR_LAST ? NAMES[-code] : "?";
}

static json_t *or_die(json_t *json)
{
    if (!json)
        die("a text is no UTF-8, or memory ran out");
    return json;
}

static void put(json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new(object, key, or_die(value)) != 0)
        die("cannot store '%s'", key);
}

static json_t *begin(const char *event)
{
    return or_die(json_pack("{s:s}", "event", event));
}

/* One call of stdio for a line: the library's log lines come from another thread. */
static void say(json_t *json)
{
    char *text = json_to_text(or_die(json));
    if (!text || printf("%s\n", text) < 0 || fflush(stdout) != 0)
        die("cannot print");
    free(text);
    json_decref(json);
}

/* What a view borrowed may change under our feet: its validation tells, not a damaged text. */
static json_t *or_null(json_t *json)
{
    return json ? json : or_die(json_null());
}

static json_t *from_bytes(cfgs_bytes bytes)
{
    return or_null(json_stringn(bytes.data, bytes.length));
}

static json_t *from_value(const struct watch *watch, const cfgs_value *value)
{
    if (watch->brief && value->kind >= CFGS_KIND_STRING && value->as.bytes.length > LONGEST_TEXT)
        return or_die(json_pack("{s:I}", "bytes", (json_int_t)value->as.bytes.length));
    return or_null(json_from_value(value));
}

static json_t *from_setting(const struct watch *watch, const cfgs_setting *setting)
{
    json_t *json = or_die(json_object());
    put(json, "key", from_bytes(setting->key));
    put(json, "value", from_value(watch, &setting->value));
    put(json, "source", from_bytes(setting->source_name));
    put(json, "sequence", json_integer((json_int_t)setting->sequence));
    return json;
}

static json_t *from_detail(const cfgs_error_detail *detail)
{
    return or_die(json_pack("{s:s, s:i, s:s}", "error", error_name(detail->code), "errno", detail->system_errno, "message",
                            detail->message));
}

/* ---- the configuration ------------------------------------------------------------------------------------------- */

/* NULL if the view has to be begun anew. */
static json_t *all_settings(const struct watch *watch, cfgs_view *view)
{
    json_t *all = or_die(json_object());
    cfgs_iterator iterator = {0};
    cfgs_setting setting;
    int more;
    while ((more = cfgs_view_next(view, &iterator, "", 0, &setting)) == 1) {
        if (json_object_setn_new(all, setting.key.data, setting.key.length, from_setting(watch, &setting)) != 0)
            break; /* a key that is none */
    }
    if (more == 0)
        return all;
    json_decref(all);
    return NULL;
}

/* A snapshot whose view is gone is followed by a new one: the line then holds no settings. */
static json_t *snapshot_settings(const struct watch *watch, const cfgs_event *event)
{
    cfgs_view view;
    if (cfgs_view_at(watch->reader, event, &view) != CFGS_OK)
        return or_die(json_null());
    json_t *all = all_settings(watch, &view);
    if (!cfgs_view_retry(&view) && cfgs_view_error(&view) == CFGS_OK && all)
        return all;
    json_decref(all);
    return or_die(json_null());
}

static void say_snapshot(const struct watch *watch, const cfgs_event *event)
{
    json_t *json = begin("snapshot");
    put(json, "reason", json_string(cfgs_snapshot_reason_name(event->reason)));
    put(json, "sequence", json_integer((json_int_t)event->sequence));
    put(json, "previous", json_integer((json_int_t)event->previous));
    put(json, "settings", snapshot_settings(watch, event));
    say(json);
}

static void say_update(const struct watch *watch, const cfgs_event *event)
{
    json_t *json = begin("update");
    put(json, "sequence", json_integer((json_int_t)event->sequence));
    put(json, "setting", from_setting(watch, &event->setting));
    put(json, "removed", json_boolean(event->removed));
    put(json, "unset_source", from_bytes(event->unset_source_name));
    put(json, "old", event->has_old ? from_value(watch, &event->old) : json_null());
    say(json);
}

static void say_events(const struct watch *watch)
{
    cfgs_event event;
    int err;
    while ((err = cfgs_reader_next(watch->reader, &event, 0)) == CFGS_OK)
        if (event.kind == CFGS_EVENT_SNAPSHOT)
            say_snapshot(watch, &event);
        else
            say_update(watch, &event);
    if (err != CFGS_ERR_TIMEOUT)
        say(json_pack("{s:s, s:s}", "event", "end", "error", error_name(err)));
}

static void on_change(void *context, const cfgs_change *change)
{
    const struct watch *watch = context;
    json_t *json = begin("change");
    put(json, "key", from_bytes(change->key));
    put(json, "sequence", json_integer((json_int_t)change->sequence));
    put(json, "from_snapshot", json_boolean(change->from_snapshot));
    put(json, "old", change->has_old ? from_setting(watch, &change->old) : json_null());
    put(json, "now", change->has_new ? from_setting(watch, &change->now) : json_null());
    say(json);
}

static void dispatch(const struct watch *watch)
{
    int err = cfgs_subscription_dispatch(watch->subscription, 0, NULL);
    if (err != CFGS_OK && err != CFGS_ERR_TIMEOUT)
        say(json_pack("{s:s, s:s}", "event", "end", "error", error_name(err)));
}

/* ---- the connection ---------------------------------------------------------------------------------------------- */

static json_t *from_info(const char *event, const cfgs_remote_info *info)
{
#define COUNT(name) {#name, info->counters.name}
    const struct { const char *name; uint64_t count; } counts[] = {
        COUNT(connects), COUNT(failures), COUNT(registrations), COUNT(refreshes), COUNT(refresh_failures),
        COUNT(sessions_refused), COUNT(streams), COUNT(snapshots), COUNT(updates), COUNT(gaps), COUNT(stale),
        COUNT(malformed), COUNT(bytes)};
#undef COUNT
    json_t *counters = or_die(json_object()), *json = begin(event);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        put(counters, counts[i].name, json_integer((json_int_t)counts[i].count));
    put(json, "state", json_string(cfgs_remote_state_name(info->state)));
    put(json, "error", json_string(error_name(info->error)));
    put(json, "grpc_status", json_integer(info->grpc_status));
    put(json, "message", json_string(info->message));
    put(json, "retry_ms", json_integer(info->retry_ms));
    put(json, "contact_age_ms", json_integer(info->contact_age_ms));
    put(json, "peer", json_string(info->peer));
    put(json, "session_prefix", json_string(info->session_prefix));
    put(json, "sequence", json_integer((json_int_t)info->sequence));
    put(json, "first_snapshot_ms", json_integer(info->first_snapshot_ms));
    put(json, "counters", counters);
    return json;
}

static void look(const struct watch *watch, cfgs_remote_info *info)
{
    memset(info, 0, sizeof *info);
    int err = cfgs_remote_status(watch->remote, info, sizeof *info);
    if (err != CFGS_OK)
        die("status: %s", cfgs_strerror(err));
}

/* What passes by itself is no difference: ages, bytes. */
static bool says_another_thing(const cfgs_remote_info *a, const cfgs_remote_info *b)
{
    return a->state != b->state || a->error != b->error || a->grpc_status != b->grpc_status ||
           strcmp(a->message, b->message) != 0 || a->counters.failures != b->counters.failures ||
           a->counters.connects != b->counters.connects || a->counters.snapshots != b->counters.snapshots;
}

static void say_status_if_new(struct watch *watch)
{
    cfgs_remote_info now;
    look(watch, &now);
    if (says_another_thing(&now, &watch->info))
        say(from_info("status", &now));
    watch->info = now;
}

static void on_log(void *context, cfgs_remote_severity severity, const char *line)
{
    (void)context;
    say(json_pack("{s:s, s:i, s:s}", "event", "log", "severity", (int)severity, "line", line));
}

/* ---- commands ---------------------------------------------------------------------------------------------------- */

static void answer_status(const struct watch *watch)
{
    cfgs_remote_info info;
    cfgs_reader_info reader = {0};
    look(watch, &info);
    int err = cfgs_reader_status(watch->reader, &reader, sizeof reader);
    json_t *json = from_info("now", &info), *path = or_die(json_array());
    for (unsigned i = 0; i < reader.upstream.path_length; i++)
        if (json_array_append_new(path, or_die(json_string(reader.upstream.path[i]))) != 0)
            die("cannot store a path");
    put(json, "delivered", json_integer((json_int_t)cfgs_reader_sequence(watch->reader)));
    put(json, "dispatched", watch->subscription ? json_integer((json_int_t)cfgs_subscription_sequence(watch->subscription))
                                                : json_null());
    put(json, "reader", json_pack("{s:s, s:s, s:I, s:I, s:s, s:b, s:b, s:I, s:s, s:o}", "error", error_name(err), "state",
                                  cfgs_producer_state_name(reader.state), "sequence", (json_int_t)reader.sequence,
                                  "settings", (json_int_t)reader.settings, "origin", reader.origin, "relayed",
                                  (int)reader.upstream.relayed, "connected", (int)reader.upstream.connected,
                                  "contact_age_ms", (json_int_t)reader.upstream.contact_age_ms, "address",
                                  reader.upstream.address, "path", path));
    say(json);
}

static void answer_get(const struct watch *watch, const char *key)
{
    cfgs_view view;
    cfgs_setting setting;
    json_t *one = NULL;
    int err = cfgs_view_begin(watch->reader, &view);
    if (err == CFGS_OK)
        do {
            json_decref(one);
            err = cfgs_view_get(&view, key, &setting);
            one = err == CFGS_OK ? from_setting(watch, &setting) : NULL;
        } while (cfgs_view_retry(&view));
    json_t *json = begin("got");
    put(json, "error", json_string(error_name(err)));
    put(json, "setting", one ? one : json_null());
    say(json);
}

static void answer_dump(const struct watch *watch)
{
    cfgs_view view;
    json_t *all = NULL;
    int err = cfgs_view_begin(watch->reader, &view);
    if (err == CFGS_OK) {
        do {
            json_decref(all);
            all = all_settings(watch, &view);
        } while (cfgs_view_retry(&view));
        err = cfgs_view_error(&view);
    }
    json_t *json = begin("state");
    put(json, "error", json_string(error_name(err)));
    put(json, "sequence", json_integer(err == CFGS_OK ? (json_int_t)cfgs_view_sequence(&view) : 0));
    put(json, "settings", all ? all : json_null());
    say(json);
}

/* The number of entries, "." and ".." and what reads them not counted. */
static int entries(const char *path)
{
    DIR *folder = opendir(path);
    if (!folder)
        die("%s: %s", path, strerror(errno));
    int count = 0;
    for (const struct dirent *entry; (entry = readdir(folder));)
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count;
}

static long status_kb(const char *name)
{
    FILE *file = fopen("/proc/self/status", "re");
    char line[256];
    long kb = -1;
    if (!file)
        die("/proc/self/status: %s", strerror(errno));
    while (fgets(line, sizeof line, file))
        if (strncmp(line, name, strlen(name)) == 0)
            kb = strtol(line + strlen(name), NULL, 10);
    fclose(file);
    return kb;
}

static json_t *usage(const char *event)
{
    return json_pack("{s:s, s:I, s:I, s:i, s:i}", "event", event, "rss_kb", (json_int_t)status_kb("VmRSS:"), "peak_kb",
                     (json_int_t)status_kb("VmHWM:"), "threads", entries("/proc/self/task"), "fds",
                     entries("/proc/self/fd") - 1);
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

__attribute__((noreturn)) static void quit(struct watch *watch)
{
    int64_t began = now_ms();
    cfgs_subscription_close(watch->subscription);
    cfgs_reader_close(watch->other);
    cfgs_reader_close(watch->reader);
    cfgs_remote_close(watch->remote);
    int64_t took = now_ms() - began;
    json_t *json = or_die(usage("closed"));
    put(json, "ms", json_integer(took));
    say(json);
    exit(0);
}

static void obey(struct watch *watch, const char *line)
{
    if (strcmp(line, "status") == 0)
        answer_status(watch);
    else if (strncmp(line, "get ", 4) == 0)
        answer_get(watch, line + 4);
    else if (strcmp(line, "dump") == 0)
        answer_dump(watch);
    else if (strcmp(line, "usage") == 0)
        say(usage("usage"));
    else if (strcmp(line, "quit") == 0)
        quit(watch);
    else
        die("no command '%s'", line);
}

static void read_commands(struct watch *watch)
{
    ssize_t got = read(STDIN_FILENO, watch->input + watch->input_length, sizeof watch->input - watch->input_length);
    if (got <= 0)
        quit(watch);
    watch->input_length += (size_t)got;
    char *at = watch->input, *end;
    while ((end = memchr(at, '\n', watch->input_length - (size_t)(at - watch->input)))) {
        *end = '\0';
        obey(watch, at);
        at = end + 1;
    }
    watch->input_length -= (size_t)(at - watch->input);
    memmove(watch->input, at, watch->input_length);
    if (watch->input_length == sizeof watch->input)
        die("a line too long");
}

/* ---- start ------------------------------------------------------------------------------------------------------- */

static uint64_t number(const char *text)
{
    char *end;
    errno = 0;
    uint64_t result = strtoull(text, &end, 10);
    if (errno || *end || end == text)
        die("'%s' is no number", text);
    return result;
}

enum {
    ADDRESS = 1, CERT, CA, KEY, TOKEN_FILE, TOKEN, VERIFY, SERVER_NAME, FLAVOR, DISPLAY_NAME, STREAM_NAME, /* texts */
    PID, READY_TIMEOUT, /* numbers */
    BACKOFF_MIN, BACKOFF_MAX, CONNECT_TIMEOUT, CALL_TIMEOUT, KEEPALIVE, KEEPALIVE_TIMEOUT, MAX_MESSAGE, MAX_SIZE, RING_SLOTS,
    BRIEF, CHANGES
};

static const struct option OPTIONS[] = {
    {"address", required_argument, NULL, ADDRESS}, {"cert", required_argument, NULL, CERT},
    {"ca", required_argument, NULL, CA}, {"key", required_argument, NULL, KEY},
    {"token-file", required_argument, NULL, TOKEN_FILE}, {"token", required_argument, NULL, TOKEN},
    {"verify", required_argument, NULL, VERIFY}, {"server-name", required_argument, NULL, SERVER_NAME},
    {"flavor", required_argument, NULL, FLAVOR}, {"display-name", required_argument, NULL, DISPLAY_NAME},
    {"stream-name", required_argument, NULL, STREAM_NAME}, {"pid", required_argument, NULL, PID},
    {"ready-timeout", required_argument, NULL, READY_TIMEOUT}, {"backoff-min", required_argument, NULL, BACKOFF_MIN},
    {"backoff-max", required_argument, NULL, BACKOFF_MAX}, {"connect-timeout", required_argument, NULL, CONNECT_TIMEOUT},
    {"call-timeout", required_argument, NULL, CALL_TIMEOUT}, {"keepalive", required_argument, NULL, KEEPALIVE},
    {"keepalive-timeout", required_argument, NULL, KEEPALIVE_TIMEOUT}, {"max-message", required_argument, NULL, MAX_MESSAGE},
    {"max-size", required_argument, NULL, MAX_SIZE}, {"ring-slots", required_argument, NULL, RING_SLOTS},
    {"brief", no_argument, NULL, BRIEF}, {"changes", no_argument, NULL, CHANGES}, {0}};

static void take_identity(cfgs_remote_options *options, int option, const char *text)
{
    switch (option) {
    case ADDRESS: options->address = text; break;
    case CERT: options->cert_file = text; break;
    case CA: options->ca_file = text; break;
    case KEY: options->key_file = text; break;
    case TOKEN_FILE: options->token_file = text; break;
    case TOKEN: options->token = text; break;
    case VERIFY: options->verify = strcmp(text, "pinned") == 0 ? CFGS_VERIFY_PINNED : CFGS_VERIFY_NAME; break;
    case SERVER_NAME: options->server_name = text; break;
    case FLAVOR: options->flavor = text; break;
    case DISPLAY_NAME: options->display_name = text; break;
    case STREAM_NAME: options->stream_name = text; break;
    default: die("no such option");
    }
}

static void take_amount(cfgs_remote_options *options, int option, uint64_t amount)
{
    switch (option) {
    case PID: options->pid = (int64_t)amount; break;
    case READY_TIMEOUT: options->ready_timeout_ms = (int)amount; break;
    case BACKOFF_MIN: options->backoff_min_ms = (uint32_t)amount; break;
    case BACKOFF_MAX: options->backoff_max_ms = (uint32_t)amount; break;
    case CONNECT_TIMEOUT: options->connect_timeout_ms = (uint32_t)amount; break;
    case CALL_TIMEOUT: options->call_timeout_ms = (uint32_t)amount; break;
    case KEEPALIVE: options->keepalive_ms = (uint32_t)amount; break;
    case KEEPALIVE_TIMEOUT: options->keepalive_timeout_ms = (uint32_t)amount; break;
    case MAX_MESSAGE: options->max_message_bytes = amount; break;
    case MAX_SIZE: options->max_size = amount; break;
    default: options->ring_slots = (uint32_t)amount;
    }
}

static void read_options(struct watch *watch, int argc, char **argv)
{
    int option;
    while ((option = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1)
        if (option == BRIEF)
            watch->brief = true;
        else if (option == CHANGES)
            watch->changes = true;
        else if (option >= PID && option <= RING_SLOTS)
            take_amount(&watch->options, option, number(optarg));
        else
            take_identity(&watch->options, option, optarg);
}

/* Says how it went; false ends the program. */
static bool open_remote(struct watch *watch)
{
    watch->options.log = on_log;
    watch->options.detail = &watch->detail;
    int64_t began = now_ms();
    int err = cfgs_remote_open(&watch->options, &watch->remote);
    json_t *json = begin("open");
    put(json, "error", json_string(error_name(err)));
    put(json, "detail", from_detail(&watch->detail));
    put(json, "ms", json_integer(now_ms() - began));
    say(json);
    return err == CFGS_OK;
}

static cfgs_reader *open_reader(struct watch *watch, int *fd)
{
    cfgs_reader *reader = NULL;
    int err = cfgs_remote_reader(watch->remote, &reader);
    if (err == CFGS_OK)
        err = cfgs_reader_fd(reader, fd);
    if (err != CFGS_OK)
        die("reader: %s", cfgs_strerror(err));
    return reader;
}

static void subscribe(struct watch *watch, int *fd)
{
    watch->other = open_reader(watch, fd);
    int err = cfgs_subscription_open(watch->other, &watch->subscription);
    if (err == CFGS_OK)
        err = cfgs_subscription_watch_prefix(watch->subscription, "", 0, on_change, watch);
    if (err != CFGS_OK)
        die("subscription: %s", cfgs_strerror(err));
}

int main(int argc, char **argv)
{
    static struct watch watch;
    struct pollfd polled[3] = {{STDIN_FILENO, POLLIN, 0}, {-1, POLLIN, 0}, {-1, POLLIN, 0}};
    read_options(&watch, argc, argv);
    if (!open_remote(&watch))
        return 3;
    watch.reader = open_reader(&watch, &polled[1].fd);
    if (watch.changes)
        subscribe(&watch, &polled[2].fd);
    for (;;) {
        if (poll(polled, 3, LOOK_MS) < 0 && errno != EINTR)
            die("poll: %s", strerror(errno));
        say_status_if_new(&watch);
        if (polled[1].revents)
            say_events(&watch);
        if (polled[2].revents)
            dispatch(&watch);
        if (polled[0].revents)
            read_commands(&watch);
    }
}
