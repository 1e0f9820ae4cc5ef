/*
 * remote.c: a cfgs_remote against a real bridge and producer: what it reads, what it is told, and what it comes back from.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "far.h"
#include "support/publish.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RING_SLOTS = 64, LARGE_SETTINGS = 30000, LARGE_VALUE = 1000 };

static cfgs_publisher *publisher;
static struct bridge_process bridge;
static const struct bridge_options *bridge_options;

static void set_value(const char *key, cfgs_value value, int source)
{
    cfgs_setting setting = setting_of(key, value, source);
    OK(cfgs_publisher_set(publisher, &setting, CFGS_SOURCE_NONE, NULL));
}

static void remove_key(const char *key)
{
    OK(cfgs_publisher_remove(publisher, key, strlen(key), CFGS_SOURCE_CLI, NULL));
}

static cfgs_event next(const struct far *far)
{
    cfgs_event event;
    OK(cfgs_reader_next(far->reader, &event, (int)(PATIENCE_NS / 1000000)));
    return event;
}

static bool is_caught_up(const struct far *far)
{
    cfgs_remote_info info = far_info(far);
    return info.state == CFGS_REMOTE_STREAMING && info.sequence == cfgs_publisher_sequence(publisher);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static void typed_reads_are_those_of_a_local_reader(void)
{
    struct far far;
    bool boolean;
    int64_t integer;
    double number;
    int source;
    set_value("a.bool", cfgs_value_bool(true), CFGS_SOURCE_DEFAULT);
    set_value("an.int", cfgs_value_int(-42), CFGS_SOURCE_ENVIRONMENT_VARIABLE);
    set_value("a.double", cfgs_value_double(0.5), CFGS_SOURCE_CLI);
    far_open(&far, &(cfgs_remote_options){.address = far_options(&bridge).address, .cert_file = bridge.certificate,
                                          .token_file = bridge.token_file});
    OK(cfgs_reader_wait_ready(far.reader, CFGS_FOREVER));
    OK(cfgs_get_bool(far.reader, "a.bool", &boolean));
    OK(cfgs_get_int(far.reader, "an.int", &integer));
    OK(cfgs_get_double(far.reader, "a.double", &number));
    OK(cfgs_get_source(far.reader, "an.int", &source));
    REQUIRE(boolean && integer == -42 && number == 0.5 && source == CFGS_SOURCE_ENVIRONMENT_VARIABLE,
            "other values came: %d %lld %g of source %d", boolean, (long long)integer, number, source);
    REQUIRE(far_has(&far, "log_level", "info") && far_has(&far, "nothing", NULL), "other texts came");
    far_close(&far);
}

static void events_have_the_ids_that_the_producer_gave(void)
{
    struct far far;
    cfgs_remote_options options = far_options(&bridge);
    options.ready_timeout_ms = (int)(PATIENCE_NS / 1000000);
    far_open(&far, &options);
    uint64_t id = cfgs_publisher_sequence(publisher);
    cfgs_event event = next(&far);
    REQUIRE(event.kind == CFGS_EVENT_SNAPSHOT && event.sequence == id, "not the snapshot");

    publish_text(publisher, "log_level", "debug", CFGS_SOURCE_CLI);
    event = next(&far);
    REQUIRE(event.kind == CFGS_EVENT_UPDATE && event.sequence == id + 1 && event.setting.source == CFGS_SOURCE_CLI &&
                event.has_old && event.old_source == CFGS_SOURCE_FILE,
            "not the update");

    const cfgs_setting fallback = setting_of("log_level", cfgs_value_string("info", 4), CFGS_SOURCE_FILE);
    OK(cfgs_publisher_set(publisher, &fallback, CFGS_SOURCE_CLI, NULL));
    event = next(&far);
    REQUIRE(event.sequence == id + 2 && event.unset_source == CFGS_SOURCE_CLI && !event.removed &&
                far_has(&far, "log_level", "info"),
            "a cleared source is not told");

    publish_text(publisher, "passing", "by", CFGS_SOURCE_CLI);
    remove_key("passing");
    next(&far);
    event = next(&far);
    REQUIRE(event.sequence == id + 4 && event.removed && far_has(&far, "passing", NULL), "a removal is not told");
    far_close(&far);
}

static void status_tells_where_it_comes_from_and_how_old_it_is(void)
{
    struct far far;
    cfgs_reader_info arena, local;
    cfgs_reader *reader = reader_open(publisher);
    cfgs_remote_options options = far_options(&bridge);
    far_open(&far, &options);
    UNTIL(is_caught_up(&far));
    OK(cfgs_reader_status(far.reader, &arena, sizeof arena));
    OK(cfgs_reader_status(reader, &local, sizeof local));
    cfgs_reader_close(reader);
    REQUIRE(arena.upstream.relayed && arena.upstream.connected && arena.upstream.contact_age_ms >= 0 &&
                arena.upstream.path_length == 1 && strcmp(arena.upstream.path[0], local.instance_id) == 0 &&
                strcmp(arena.origin, local.origin) == 0,
            "upstream: %d %d %lld, path %u %s", arena.upstream.relayed, arena.upstream.connected,
            (long long)arena.upstream.contact_age_ms, arena.upstream.path_length, arena.upstream.path[0]);
    cfgs_remote_info info = far_info(&far);
    REQUIRE(info.error == 0 && info.grpc_status == -1 && !info.message[0] && info.retry_ms == -1 &&
                info.contact_age_ms >= 0 && info.peer[0] && strcmp(arena.upstream.address, options.address) == 0 &&
                strlen(info.session_prefix) == 8 && info.first_snapshot_ms >= 0 && info.counters.connects == 1 &&
                info.counters.registrations == 1 && info.counters.streams == 1 && info.counters.snapshots == 1 &&
                info.counters.bytes > 0,
            "the state is told otherwise: %s %s", info.peer, info.message);
    far_close(&far);
}

static void a_large_snapshot_comes_whole_and_a_too_large_one_is_refused(void)
{
    struct far far;
    publish_load(publisher, LARGE_SETTINGS, LARGE_VALUE);
    cfgs_remote_options options = far_options(&bridge);
    uint64_t began = now_ns();
    far_open(&far, &options);
    UNTIL(is_caught_up(&far));
    printf("a snapshot of %d MiB is applied %.0f ms after opening\n", LARGE_SETTINGS * LARGE_VALUE >> 20,
           (double)(now_ns() - began) / 1e6);
    cfgs_reader_info arena;
    OK(cfgs_reader_status(far.reader, &arena, sizeof arena));
    REQUIRE(arena.settings > LARGE_SETTINGS, "%llu settings", (unsigned long long)arena.settings);
    far_close(&far);

    options.max_message_bytes = 1024 * 1024;
    far_open(&far, &options);
    UNTIL(far_info(&far).counters.malformed > 1);
    cfgs_remote_info info = far_info(&far);
    REQUIRE(info.error == CFGS_ERR_PROTOCOL && strstr(info.message, "the limit is 1048576") &&
                info.counters.bytes < 40 << 20,
            "too large: %d %s, %llu bytes", info.error, info.message, (unsigned long long)info.counters.bytes);
    far_close(&far);
    for (unsigned i = 0; i < LARGE_SETTINGS; i++) {
        char key[32];
        snprintf(key, sizeof key, "load.%u", i);
        remove_key(key);
    }
}

static void shm_is_the_same_program_near(void)
{
    struct far near;
    char address[80], text[16];
    size_t length;
    snprintf(address, sizeof address, "shm:%s", test_instance());
    far_open(&near, &(cfgs_remote_options){.address = address, .ready_timeout_ms = 1000});
    OK(cfgs_get_string(near.reader, "log_level", text, sizeof text, &length));
    OK(cfgs_remote_wait_ready(near.remote, 0));
    cfgs_remote_info info = far_info(&near);
    REQUIRE(info.state == CFGS_REMOTE_NEAR && info.sequence == cfgs_publisher_sequence(publisher), "state %s, #%llu",
            cfgs_remote_state_name(info.state), (unsigned long long)info.sequence);
    far_close(&near);
    far_expect_failure(&(cfgs_remote_options){.address = "shm:no/instance"}, CFGS_ERR_INVALID, "instance name");
    far_expect_failure(&(cfgs_remote_options){.address = "shm:nobody-has-this", .ready_timeout_ms = 1}, CFGS_ERR_TIMEOUT,
                       "timed out");
}

/* ---- coming back ------------------------------------------------------------------------------------------------- */

static void after_a_lost_bridge_the_state_is_the_producers_and_only_changes_are_events(void)
{
    struct far far;
    cfgs_remote_options options = far_options(&bridge);
    publish_text(publisher, "gone.soon", "x", CFGS_SOURCE_FILE);
    far_open(&far, &options);
    UNTIL(is_caught_up(&far));
    REQUIRE(next(&far).kind == CFGS_EVENT_SNAPSHOT, "not the snapshot");

    bridge_kill(&bridge);
    UNTIL(far_info(&far).state == CFGS_REMOTE_WAITING);
    cfgs_reader_info arena;
    OK(cfgs_reader_status(far.reader, &arena, sizeof arena));
    REQUIRE(!arena.upstream.connected && far_has(&far, "gone.soon", "x"), "the last state is not served");
    uint64_t unchanged, still;
    OK(cfgs_get_sequence(far.reader, "an.int", &unchanged));
    remove_key("gone.soon");
    publish_text(publisher, "new.meanwhile", "y", CFGS_SOURCE_FILE);
    UNTIL(far_info(&far).counters.failures > 3); /* nobody listens */
    REQUIRE(far_info(&far).error == CFGS_ERR_UNREACHABLE, "another error: %s", far_info(&far).message);

    bridge_start_again(&bridge, bridge_options);
    UNTIL(is_caught_up(&far));
    REQUIRE(far_has(&far, "gone.soon", NULL) && far_has(&far, "new.meanwhile", "y"), "the states differ");
    OK(cfgs_get_sequence(far.reader, "an.int", &still));
    REQUIRE(still == unchanged, "what did not change has another ID: %llu", (unsigned long long)still);
    REQUIRE(next(&far).kind == CFGS_EVENT_SNAPSHOT, "a resync is not told");
    cfgs_remote_info info = far_info(&far);
    REQUIRE(info.counters.registrations >= 2 && info.counters.gaps == 0 && info.counters.stale == 0 && info.error == 0,
            "%llu registrations", (unsigned long long)info.counters.registrations);
    far_close(&far);
}

static void a_refused_session_is_replaced(void)
{
    struct far far;
    struct bridge_process forgetful; /* with the default interval: for so long the session is tried again */
    bridge_start(&forgetful, &(struct bridge_options){.instance = test_instance()});
    cfgs_remote_options options = far_options(&forgetful);
    far_open(&far, &options);
    UNTIL(is_caught_up(&far));
    bridge_kill(&forgetful);
    bridge_start_again(&forgetful, &(struct bridge_options){.instance = test_instance()});
    UNTIL(far_info(&far).counters.sessions_refused == 1 && is_caught_up(&far));
    REQUIRE(far_info(&far).counters.registrations == 2, "%llu registrations",
            (unsigned long long)far_info(&far).counters.registrations);
    REQUIRE(far_log_count("dropping session") == 1 && far_log_count("re-registered") == 1, "not logged:\n%s", far_log());
    far_close(&far);
    bridge_stop(&forgetful);
}

/* Each session is but a moment old when it is lost with its bridge, which says nothing against the next one. */
static void a_bridge_that_restarts_often_costs_one_connection_each_time(void)
{
    enum { RESTARTS = 4 };
    struct far far;
    struct bridge_process hasty; /* with the default interval: the session is tried again each time */
    bridge_start(&hasty, &(struct bridge_options){.instance = test_instance()});
    cfgs_remote_options options = far_options(&hasty);
    far_open(&far, &options);
    UNTIL(is_caught_up(&far));
    for (unsigned restarts = 1; restarts <= RESTARTS; restarts++) {
        bridge_kill(&hasty);
        UNTIL(far_info(&far).state == CFGS_REMOTE_WAITING);
        bridge_start_again(&hasty, &(struct bridge_options){.instance = test_instance()});
        UNTIL(far_info(&far).counters.snapshots == 1 + restarts && is_caught_up(&far));
        cfgs_remote_info info = far_info(&far);
        REQUIRE(info.counters.connects == 1 + restarts && info.counters.registrations == 1 + restarts,
                "after %u restarts: %llu connections, %llu registrations", restarts,
                (unsigned long long)info.counters.connects, (unsigned long long)info.counters.registrations);
    }
    far_close(&far);
    bridge_stop(&hasty);
}

static void an_open_stream_and_refreshes_keep_the_session(void)
{
    struct far far;
    cfgs_remote_options options = far_options(&bridge);
    far_open(&far, &options);
    UNTIL(far_info(&far).counters.refreshes >= 3); /* the interval of this bridge is a second, and so is its idle timeout */
    cfgs_remote_info info = far_info(&far);
    REQUIRE(info.counters.registrations == 1 && info.counters.streams == 1 && info.counters.refresh_failures == 0,
            "the session did not last");
    far_close(&far);
}

/* Without a clean end, as a crash would leave it. */
static void a_producer_that_dies_and_one_with_lower_ids_are_followed(void)
{
    struct far far;
    cfgs_remote_options options = far_options(&bridge);
    far_open(&far, &options);
    UNTIL(is_caught_up(&far));
    uint64_t before = cfgs_publisher_sequence(publisher);
    cfgs_publisher_abandon(publisher);
    publisher = producer_open(RING_SLOTS);
    publish_text(publisher, "after", "a crash", CFGS_SOURCE_FILE);
    UNTIL(is_caught_up(&far) && far_has(&far, "after", "a crash"));
    REQUIRE(far_info(&far).counters.streams == 1, "a producer that recovers its arena ended the stream");

    cfgs_publisher_close(publisher, true);
    publisher = producer_open(RING_SLOTS);
    publish_text(publisher, "log_level", "info", CFGS_SOURCE_FILE);
    REQUIRE(cfgs_publisher_sequence(publisher) < before, "the new arena's IDs are not lower");
    UNTIL(is_caught_up(&far) && far_has(&far, "after", NULL) && far_has(&far, "log_level", "info"));
    set_value("an.int", cfgs_value_int(-42), CFGS_SOURCE_FILE);
    UNTIL(is_caught_up(&far));
    far_close(&far);
}

static void a_silent_bridge_is_noticed_on_a_quiet_stream(void)
{
    struct far far;
    cfgs_remote_options options = far_options(&bridge);
    options.keepalive_ms = options.keepalive_timeout_ms = 200;
    far_open(&far, &options);
    UNTIL(is_caught_up(&far));
    kill(bridge.pid, SIGSTOP);
    UNTIL(far_log_count("the server is silent") > 0);
    kill(bridge.pid, SIGCONT);
    UNTIL(is_caught_up(&far));
    far_close(&far);
}

static void a_bridge_that_finds_pings_too_many_gets_fewer(void)
{
    struct far far;
    struct bridge_process strict; /* with the default: one in 10 s */
    bridge_start(&strict, &(struct bridge_options){.instance = test_instance()});
    cfgs_remote_options options = far_options(&strict);
    options.keepalive_ms = 50;
    far_open(&far, &options);
    UNTIL(far_log_count("PINGs too many: from now on one in 200 ms") == 1);
    UNTIL(is_caught_up(&far));
    REQUIRE(far_log_count("ENHANCE_YOUR_CALM: too_many_pings") > 0, "the reason is not told:\n%s", far_log());
    far_close(&far);
    bridge_stop(&strict);
}

static void a_bridge_that_ends_is_left_without_a_fuss_and_found_again(void)
{
    struct far far;
    cfgs_remote_options options = far_options(&bridge);
    far_open(&far, &options);
    UNTIL(is_caught_up(&far));
    bridge_stop(&bridge);
    UNTIL(far_info(&far).state == CFGS_REMOTE_WAITING);
    REQUIRE(far_log_count("UNAVAILABLE: the connection is ended (shutdown)") == 1, "the reason is not told:\n%s", far_log());
    REQUIRE(far_info(&far).counters.malformed == 0, "a drain is taken for a broken stream");
    bridge_start_again(&bridge, bridge_options);
    UNTIL(is_caught_up(&far));
    far_close(&far);
}

static void put_file(const char *path, const char *text)
{
    char next_path[160];
    snprintf(next_path, sizeof next_path, "%s.next", path);
    int fd = open(next_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    REQUIRE(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0 &&
                rename(next_path, path) == 0,
            "%s: %s", path, strerror(errno));
}

static void a_replaced_token_is_read_anew(void)
{
    struct far far;
    char wrong[96], other[66];
    cfgs_remote_options options = far_options(&bridge);
    snprintf(wrong, sizeof wrong, "%s/wrong", bridge.directory);
    memset(other, 'a', 64);
    memcpy(other + 64, "\n", 2);
    put_file(wrong, other);
    options.token_file = wrong;
    far_open(&far, &options);
    UNTIL(far_info(&far).error == CFGS_ERR_UNAUTHENTICATED);
    cfgs_remote_info info = far_info(&far);
    REQUIRE(info.grpc_status == 16 && strstr(info.message, "invalid auth token"), "%d %s", info.grpc_status, info.message);
    put_file(wrong, bridge.token); /* without the newline: either is a token file */
    UNTIL(is_caught_up(&far));
    REQUIRE(!strstr(far_log(), bridge.token) && !strstr(far_log(), other), "a token stands in the log");
    far_close(&far);
}

static void credentials_are_awaited(void)
{
    struct far far;
    char later[96];
    cfgs_remote_options options = far_options(&bridge);
    snprintf(later, sizeof later, "%s/later", bridge.directory);
    options.token_file = later;
    far_open(&far, &options);
    UNTIL(far_info(&far).state == CFGS_REMOTE_CREDENTIALS);
    cfgs_remote_info info = far_info(&far);
    REQUIRE(info.error == CFGS_ERR_CREDENTIALS && strstr(info.message, later) && info.retry_ms >= 0, "%d %s", info.error,
            info.message);
    put_file(later, bridge.token);
    UNTIL(is_caught_up(&far));
    far_close(&far);
}

/* ---- what fails -------------------------------------------------------------------------------------------------- */

static void each_failure_has_its_own_error(void)
{
    char address[32];
    cfgs_remote_info info;
    struct far far;
    cfgs_remote_options options = far_options(&bridge);
    options.server_name = "core.example.com";
    far_open(&far, &options);
    UNTIL(far_info(&far).error == CFGS_ERR_TLS);
    info = far_info(&far);
    REQUIRE(strstr(info.message, "hostname mismatch"), "a wrong name: %s", info.message);
    far_close(&far);

    options.verify = CFGS_VERIFY_PINNED; /* names do not matter then */
    far_open(&far, &options);
    UNTIL(is_caught_up(&far));
    far_close(&far);

    struct bridge_process stranger;
    bridge_start(&stranger, bridge_options);
    for (int verify = CFGS_VERIFY_NAME; verify <= CFGS_VERIFY_PINNED; verify++) {
        options = far_options(&bridge);
        options.cert_file = stranger.certificate;
        options.verify = (cfgs_remote_verify)verify;
        far_open(&far, &options);
        UNTIL(far_info(&far).error == CFGS_ERR_TLS);
        info = far_info(&far);
        REQUIRE(strstr(info.message, "the server's certificate"), "another CA: %s", info.message);
        far_close(&far);
    }
    bridge_stop(&stranger);

    options = far_options(&bridge);
    options.ready_timeout_ms = 1000;
    snprintf(address, sizeof address, "127.0.0.1:%u", free_port());
    options.address = address;
    far_expect_failure(&options, CFGS_ERR_TIMEOUT, "cannot connect: Connection refused");
}

static void bad_options_are_named(void)
{
    cfgs_remote_options options = far_options(&bridge);
    static const char *const addresses[] = {"", "localhost", "localhost:", ":5001", "localhost:0", "localhost:70000",
                                            "::1:5001", "[::1]", "a b:1"};
    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
        options.address = addresses[i];
        far_expect_failure(&options, CFGS_ERR_INVALID, "address");
    }
    options = far_options(&bridge);
    options.ca_file = "/ca";
    far_expect_failure(&options, CFGS_ERR_INVALID, "key_file");
    options = far_options(&bridge);
    options.token = "with a blank";
    far_expect_failure(&options, CFGS_ERR_INVALID, "token");
    options = far_options(&bridge);
    options.display_name = "two\nlines";
    far_expect_failure(&options, CFGS_ERR_INVALID, "display_name");
    options = far_options(&bridge);
    options.backoff_max_ms = 10;
    far_expect_failure(&options, CFGS_ERR_INVALID, "backoff_max_ms");
    options = far_options(&bridge);
    options.verify = (cfgs_remote_verify)7;
    far_expect_failure(&options, CFGS_ERR_INVALID, "verify");
    options = far_options(&bridge);
    options.ready_timeout_ms = -1;
    far_expect_failure(&options, CFGS_ERR_INVALID, "ready_timeout_ms");
}

static void a_child_is_told_that_it_is_one(void)
{
    struct far far;
    int status;
    cfgs_remote_info info;
    cfgs_reader *reader;
    cfgs_remote_options options = far_options(&bridge);
    far_open(&far, &options);
    UNTIL(is_caught_up(&far));
    pid_t child = fork();
    REQUIRE(child >= 0, "fork: %s", strerror(errno));
    if (child == 0) {
        bool told = cfgs_remote_status(far.remote, &info, sizeof info) == CFGS_ERR_FORKED &&
                    cfgs_remote_reader(far.remote, &reader) == CFGS_ERR_FORKED &&
                    cfgs_remote_wait_ready(far.remote, 0) == CFGS_ERR_FORKED;
        cfgs_remote_close(far.remote); /* nothing, and no waiting for a thread that is not here */
        _exit(told ? 0 : 1);
    }
    REQUIRE(waitpid(child, &status, 0) == child && status == 0, "the child's status is %d", status);
    publish_text(publisher, "after", "a fork", CFGS_SOURCE_FILE);
    UNTIL(far_has(&far, "after", "a fork"));
    far_close(&far);
}

/* ---- closing ----------------------------------------------------------------------------------------------------- */

static struct {
    pid_t closer; /* who closes, 0: not yet */
    atomic_bool asked, goes_on;
} held;

static bool sleeps(pid_t thread)
{
    char path[64], text[256] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)thread);
    FILE *file = fopen(path, "r");
    REQUIRE(file && fgets(text, sizeof text, file), "%s: %s", path, strerror(errno));
    fclose(file);
    return strncmp(strrchr(text, ')'), ") S", 3) == 0;
}

/* Holds up the consumer's thread before it asks for the stream, until somebody waits for its end. */
static void hold_up(void *context, cfgs_remote_severity severity, const char *line)
{
    (void)context, (void)severity;
    if (!strstr(line, "waiting for initial configuration"))
        return;
    atomic_store(&held.asked, true);
    while (!atomic_load(&held.goes_on) || !sleeps(held.closer))
        poll(NULL, 0, 2);
}

/* The signal, which a program that knows nothing of sockets leaves as it is, would kill it. */
static void closing_writes_to_a_lost_connection_without_a_signal(void)
{
    struct far far;
    struct bridge_process brief;
    REQUIRE(signal(SIGPIPE, SIG_DFL) != SIG_ERR, "signal: %s", strerror(errno));
    bridge_start(&brief, &(struct bridge_options){.instance = test_instance()});
    cfgs_remote_options options = far_options(&brief);
    options.log = hold_up;
    held.closer = gettid();
    far_open(&far, &options);
    UNTIL(atomic_load(&held.asked));
    bridge_kill(&brief);
    cfgs_reader_close(far.reader);
    atomic_store(&held.goes_on, true);
    cfgs_remote_close(far.remote);
}

/* A socket that takes connections into its queue, and never says a word. */
static int open_mute(uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(fd >= 0 && bind(fd, (struct sockaddr *)&address, length) == 0 && listen(fd, 8) == 0 &&
                getsockname(fd, (struct sockaddr *)&address, &length) == 0,
            "a mute server: %s", strerror(errno));
    *port = ntohs(address.sin_port);
    return fd;
}

static void close_in(const cfgs_remote_options *options, cfgs_remote_state state)
{
    struct far far;
    far_open(&far, options);
    UNTIL(far_info(&far).state == state);
    uint64_t began = now_ns();
    far_close(&far);
    printf("closed in %s: %.1f ms\n", cfgs_remote_state_name((int)state), (double)(now_ns() - began) / 1e6);
    far_open(&far, options);
    far_close(&far); /* at whatever moment */
}

static unsigned entries(const char *path)
{
    unsigned count = 0;
    DIR *directory = opendir(path);
    REQUIRE(directory != NULL, "%s: %s", path, strerror(errno));
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}

static void many_have_a_thread_each_and_leave_nothing_behind(void)
{
    enum { MANY = 20 };
    static struct far all[MANY];
    unsigned threads = entries("/proc/self/task"), descriptors = entries("/proc/self/fd");
    cfgs_remote_options options = far_options(&bridge);
    for (unsigned i = 0; i < MANY; i++)
        far_open(&all[i], &options);
    for (unsigned i = 0; i < MANY; i++)
        UNTIL(is_caught_up(&all[i]));
    REQUIRE(entries("/proc/self/task") == threads + MANY, "%u threads for %d", entries("/proc/self/task") - threads, MANY);
    publish_text(publisher, "for", "all", CFGS_SOURCE_FILE);
    for (unsigned i = 0; i < MANY; i++) {
        UNTIL(far_has(&all[i], "for", "all"));
        far_close(&all[i]);
    }
    UNTIL(entries("/proc/self/task") == threads); /* a thread that was joined may still be listed for a moment */
    REQUIRE(entries("/proc/self/fd") == descriptors, "%u descriptors stay open", entries("/proc/self/fd") - descriptors);
}

static void it_can_be_closed_in_any_state(void)
{
    uint16_t port;
    char address[32];
    int mute = open_mute(&port);
    cfgs_remote_options options = far_options(&bridge);
    close_in(&options, CFGS_REMOTE_STREAMING);
    options.token_file = "/nowhere/token";
    close_in(&options, CFGS_REMOTE_CREDENTIALS);
    options = far_options(&bridge);
    snprintf(address, sizeof address, "127.0.0.1:%u", port);
    options.address = address;
    close_in(&options, CFGS_REMOTE_CONNECTING);
    options.connect_timeout_ms = 50;
    close_in(&options, CFGS_REMOTE_WAITING);
    close(mute);

    struct bridge_process early; /* no producer: the stream is open, and silent */
    bridge_start(&early, &(struct bridge_options){.instance = "test-nobody-publishes-this"});
    options = far_options(&early);
    close_in(&options, CFGS_REMOTE_SUBSCRIBING);
    bridge_stop(&early);
}

int main(void)
{
    static const char *const flags[] = {"--registry-idle-timeout", "2s", "--registry-refresh-interval", "1s",
                                        "--min-ping-interval", "1ms", NULL};
    static const struct {
        const char *name;
        void (*run)(void);
    } tests[] = {
#define TEST(name) {#name, name}
        TEST(typed_reads_are_those_of_a_local_reader),
        TEST(events_have_the_ids_that_the_producer_gave),
        TEST(status_tells_where_it_comes_from_and_how_old_it_is),
        TEST(a_large_snapshot_comes_whole_and_a_too_large_one_is_refused),
        TEST(shm_is_the_same_program_near),
        TEST(after_a_lost_bridge_the_state_is_the_producers_and_only_changes_are_events),
        TEST(a_refused_session_is_replaced),
        TEST(a_bridge_that_restarts_often_costs_one_connection_each_time),
        TEST(an_open_stream_and_refreshes_keep_the_session),
        TEST(a_producer_that_dies_and_one_with_lower_ids_are_followed),
        TEST(a_silent_bridge_is_noticed_on_a_quiet_stream),
        TEST(a_bridge_that_finds_pings_too_many_gets_fewer),
        TEST(a_bridge_that_ends_is_left_without_a_fuss_and_found_again),
        TEST(a_replaced_token_is_read_anew),
        TEST(credentials_are_awaited),
        TEST(each_failure_has_its_own_error),
        TEST(bad_options_are_named),
        TEST(a_child_is_told_that_it_is_one),
        TEST(many_have_a_thread_each_and_leave_nothing_behind),
        TEST(closing_writes_to_a_lost_connection_without_a_signal),
        TEST(it_can_be_closed_in_any_state),
    };
    const struct bridge_options options = {.instance = test_instance(), .flags = flags};
    bridge_options = &options;
    publisher = producer_open(RING_SLOTS);
    publish_text(publisher, "log_level", "info", CFGS_SOURCE_FILE);
    bridge_start(&bridge, bridge_options);
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        printf("%s\n", tests[i].name);
        fflush(stdout);
        far_log_clear();
        tests[i].run();
    }
    bridge_stop(&bridge);
    cfgs_publisher_close(publisher, true);
    return 0;
}
