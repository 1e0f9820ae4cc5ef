/*
 * subscribe.c: a small agent that follows its settings from an event loop.  Near or far is a matter of one string.
 *
 *     subscribe shm:default                      the configuration of this host, from shared memory
 *     subscribe core.example.com:5001            that of another one, from its configstream-bridge
 *     cc -std=c17 subscribe.c $(pkg-config --cflags --libs configstream-remote) -o subscribe
 *
 * Far: $CONFIGSTREAM_CERT and $CONFIGSTREAM_TOKEN_FILE name the files of certificate and token, if not the usual ones.
 *
 * It follows all settings below "logs_config.", and its own log level by the recipe for per-agent overrides: what
 * "system_probe_config.log_level" says, else what "log_level" says.  An override that is empty, or is gone, is withdrawn.
 * A level that somebody sets for all agents at run time (remote-config, cli) is above any override.
 * SPDX-License-Identifier: Apache-2.0
 */
#define _POSIX_C_SOURCE 200809L
#include <configstream/configstream.h>
#include <configstream/remote.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define BASE "log_level"
#define OVERRIDE "system_probe_config.log_level"
#define SECTION "logs_config."

/* ---- where the configuration is: only these functions know ------------------------------------------------------- */

struct configuration {
    cfgs_remote *remote;
    cfgs_reader *reader;
};

static void close_configuration(struct configuration *configuration)
{
    cfgs_reader_close(configuration->reader); /* before what it is a reader of */
    cfgs_remote_close(configuration->remote);
}

/* What the library says of a connection.  A near configuration has none. */
static void log_line(void *context, cfgs_remote_severity severity, const char *line)
{
    (void)context;
    if (severity >= CFGS_REMOTE_WARN)
        fprintf(stderr, "%s\n", line);
}

static int open_configuration(const char *address, struct configuration *out)
{
    cfgs_error_detail detail = {0};
    const cfgs_remote_options options = {.address = address,
                                         .cert_file = getenv("CONFIGSTREAM_CERT"), /* NULL: the usual one */
                                         .token_file = getenv("CONFIGSTREAM_TOKEN_FILE"),
                                         .display_name = "subscribe",
                                         .log = log_line,
                                         .detail = &detail};

    *out = (struct configuration){0};
    int err = cfgs_remote_open(&options, &out->remote);
    if (err == CFGS_OK)
        err = cfgs_remote_reader(out->remote, &out->reader);
    if (err != CFGS_OK) {
        fprintf(stderr, "%s: %s%s%s\n", address, cfgs_strerror(err), detail.message[0] ? ": " : "", detail.message);
        close_configuration(out);
    }
    return err;
}

struct agent {
    cfgs_reader *reader;
    cfgs_subscription *subscription;
    char level[32]; /* in use; "" before the first */
};

/* ---- the log level: two settings that make one ------------------------------------------------------------------- */

struct level {
    char text[32];
    const char *key; /* the setting that it is from */
};

/* Take a key's text; false if there is none, or an empty one.  Bounded: a view's bytes may be changing as we read. */
static bool take_level(cfgs_view *view, const char *key, struct level *level, int *source)
{
    cfgs_setting setting;
    cfgs_bytes text;

    if (cfgs_view_get(view, key, &setting) != CFGS_OK || cfgs_value_get_string(&setting.value, &text) != CFGS_OK ||
        text.length == 0 || text.length >= sizeof level->text)
        return false;
    memcpy(level->text, text.data, text.length);
    level->text[text.length] = '\0';
    level->key = key;
    *source = setting.source;
    return true;
}

/* Both settings as of one point in time, so that one that moves from the one to the other is never lost between. */
static int read_level(cfgs_reader *reader, struct level *level)
{
    struct level own;
    int base_source, own_source;
    cfgs_view view;
    int err = cfgs_view_begin(reader, &view);

    if (err != CFGS_OK)
        return err;
    do {
        *level = (struct level){"info", "built-in"};
        base_source = CFGS_SOURCE_NONE;
        (void)take_level(&view, BASE, level, &base_source);
        if (base_source <= CFGS_SOURCE_AGENT_RUNTIME && take_level(&view, OVERRIDE, &own, &own_source))
            *level = own;
    } while (cfgs_view_retry(&view));
    return cfgs_view_error(&view);
}

/* Called for either key: what counts is what both of them make now. */
static void on_level(void *context, const cfgs_change *change)
{
    struct agent *agent = context;
    struct level level;
    int err = read_level(agent->reader, &level);

    (void)change;
    if (err != CFGS_OK) {
        fprintf(stderr, "the log level stays %s: %s\n", agent->level, cfgs_strerror(err));
        return;
    }
    if (strcmp(agent->level, level.text) == 0)
        return;
    memcpy(agent->level, level.text, sizeof agent->level);
    printf("log level: %s (%s)\n", level.text, level.key);
}

/* ---- a section: old and new values ------------------------------------------------------------------------------- */

/* Declared secret; or named like one, since far away nobody tells what is declared. */
static bool is_secret(const cfgs_setting *setting)
{
    static const char *const endings[] = {"key", "token", "password", "secret"};

    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t length = strlen(endings[i]);
        if (setting->key.length >= length &&
            memcmp(setting->key.data + setting->key.length - length, endings[i], length) == 0)
            return true;
    }
    return (setting->flags & CFGS_SETTING_SECRET) != 0;
}

static void print_value(bool has, const cfgs_setting *setting)
{
    const cfgs_value *value = &setting->value;

    if (!has)
        printf("nothing");
    else if (is_secret(setting))
        printf("********");
    else if (value->kind == CFGS_KIND_BOOL)
        printf("%s", value->as.boolean ? "true" : "false");
    else if (value->kind == CFGS_KIND_INT)
        printf("%" PRId64, value->as.integer);
    else if (value->kind == CFGS_KIND_STRING)
        printf("\"%.*s\"", (int)value->as.bytes.length, value->as.bytes.data);
    else
        printf("a %s", cfgs_kind_name(value->kind));
}

static void on_section(void *context, const cfgs_change *change)
{
    (void)context;
    printf("%s: ", change->key.data);
    print_value(change->has_old, &change->old);
    printf(" -> ");
    print_value(change->has_new, &change->now);
    printf("%s%.*s%s\n", change->has_new ? " (" : "", (int)change->now.source_name.length,
           change->has_new ? change->now.source_name.data : "", change->has_new ? ")" : "");
}

/* INITIAL for the level: to read it and to follow it is the same code. */
static int subscribe(struct agent *agent)
{
    int err = cfgs_subscription_open(agent->reader, &agent->subscription);

    if (err == CFGS_OK)
        err = cfgs_subscription_watch_key(agent->subscription, BASE, CFGS_WATCH_INITIAL, on_level, agent);
    if (err == CFGS_OK)
        err = cfgs_subscription_watch_key(agent->subscription, OVERRIDE, CFGS_WATCH_INITIAL, on_level, agent);
    if (err == CFGS_OK)
        err = cfgs_subscription_watch_prefix(agent->subscription, SECTION, 0, on_section, agent);
    return err;
}

/* ---- the event loop ---------------------------------------------------------------------------------------------- */

/* The descriptor is readable: callbacks for all that is there.  False: it cannot go on. */
static bool dispatch(struct agent *agent)
{
    int err = cfgs_subscription_dispatch(agent->subscription, 0, NULL);

    fflush(stdout);
    switch (err) {
    case CFGS_OK:
    case CFGS_ERR_TIMEOUT: /* nothing new after all */
    case CFGS_ERR_CLOSED:  /* a near producer has ended: what we have goes on to hold, and when one is back we are called */
        return true;
    case CFGS_ERR_MEMORY: /* nothing is lost, and the descriptor stays readable */
    case CFGS_ERR_BUSY:
        fprintf(stderr, "later: %s\n", cfgs_strerror(err));
        return true;
    default:
        fprintf(stderr, "%s: %s\n", cfgs_strerror(err), cfgs_reader_error(agent->reader)->message);
        return false;
    }
}

static int add(int poller, int fd)
{
    struct epoll_event interest = {.events = EPOLLIN, .data.fd = fd};
    return epoll_ctl(poller, EPOLL_CTL_ADD, fd, &interest);
}

/* SIGINT and SIGTERM as a descriptor, beside all others. */
static int open_signals(void)
{
    sigset_t ends;

    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    if (sigprocmask(SIG_BLOCK, &ends, NULL) != 0)
        return -1;
    return signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Until a signal asks us to end: true; or something fails. */
static bool run(struct agent *agent, int poller, int changes)
{
    for (;;) {
        struct epoll_event ready;
        int count = epoll_wait(poller, &ready, 1, -1);
        if (count < 0 && errno != EINTR) {
            perror("epoll_wait");
            return false;
        }
        if (count <= 0)
            continue;
        if (ready.data.fd != changes)
            return true;
        if (!dispatch(agent))
            return false;
    }
}

static bool follow(struct agent *agent)
{
    bool ended = false;
    int changes = -1, signals = open_signals(), poller = epoll_create1(EPOLL_CLOEXEC);
    int err = cfgs_reader_fd(agent->reader, &changes);

    if (err == CFGS_OK)
        err = subscribe(agent);
    if (err != CFGS_OK)
        fprintf(stderr, "cannot subscribe: %s\n", cfgs_strerror(err));
    else if (signals < 0 || poller < 0 || add(poller, signals) != 0 || add(poller, changes) != 0)
        perror("event loop");
    else
        ended = run(agent, poller, changes);
    if (poller >= 0)
        close(poller);
    if (signals >= 0)
        close(signals);
    return ended;
}

int main(int argc, char **argv)
{
    struct configuration configuration;

    if (argc != 2) {
        fprintf(stderr, "usage: subscribe ADDRESS\n");
        return 2;
    }
    if (open_configuration(argv[1], &configuration) != CFGS_OK)
        return 1;
    struct agent agent = {.reader = configuration.reader};
    bool ended = follow(&agent);
    cfgs_subscription_close(agent.subscription);
    close_configuration(&configuration);
    return ended ? 0 : 1;
}
