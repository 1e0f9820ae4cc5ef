/* process.c: see process.h.  SPDX-License-Identifier: Apache-2.0 */
#include "process.h"
#include "check.h"

#include <configstream/configstream.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { STARTS_MAX = 5, FLAGS_MAX = 64 };

static char instance[64];
static char directories[64][sizeof((struct bridge_process *)0)->directory];
static unsigned directory_count;
static const struct bridge_process *running;

/* ---- what is left behind ----------------------------------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    (void)info, (void)kind, (void)where;
    return remove(path);
}

static void clean(void)
{
    if (running != NULL)
        kill(running->pid, SIGKILL);
    for (unsigned i = 0; i < directory_count; i++)
        nftw(directories[i], remove_one, 8, FTW_DEPTH | FTW_PHYS);
    char path[128];
    snprintf(path, sizeof path, "/dev/shm/configstream.%s", instance);
    unlink(path);
    snprintf(path, sizeof path, "/dev/shm/configstream.%s.lock", instance);
    unlink(path);
}

static void show_running(void)
{
    if (running != NULL)
        bridge_log_show(running);
}

const char *test_instance(void)
{
    if (instance[0] == '\0') {
        snprintf(instance, sizeof instance, "test-bridge-%d", (int)getpid());
        atexit(clean);
        fail_first(show_running);
    }
    return instance;
}

/* ---- starting ---------------------------------------------------------------------------------------------------- */

uint16_t free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(fd >= 0 && bind(fd, (struct sockaddr *)&address, length) == 0 &&
                getsockname(fd, (struct sockaddr *)&address, &length) == 0,
            "no free port: %s", strerror(errno));
    close(fd);
    return ntohs(address.sin_port);
}

static void make_directory(struct bridge_process *bridge)
{
    snprintf(bridge->directory, sizeof bridge->directory, "/tmp/configstream-test-XXXXXX");
    REQUIRE(mkdtemp(bridge->directory) != NULL, "no directory: %s", strerror(errno));
    REQUIRE(directory_count < sizeof directories / sizeof directories[0], "too many bridges in one test");
    memcpy(directories[directory_count++], bridge->directory, sizeof bridge->directory);
    snprintf(bridge->certificate, sizeof bridge->certificate, "%s/ipc_cert.pem", bridge->directory);
    snprintf(bridge->token_file, sizeof bridge->token_file, "%s/auth_token", bridge->directory);
    snprintf(bridge->log, sizeof bridge->log, "%s/log", bridge->directory);
}

/* Where the bridge says that it is ready, as it would to systemd. */
static int notify_open(const struct bridge_process *bridge, struct sockaddr_un *address)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(address->sun_path, sizeof address->sun_path, "%s/notify", bridge->directory);
    unlink(address->sun_path);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    REQUIRE(fd >= 0 && bind(fd, (struct sockaddr *)address, sizeof *address) == 0, "notify socket: %s",
            strerror(errno));
    return fd;
}

static _Noreturn void run(const struct bridge_process *bridge, const struct bridge_options *options,
                          const char *notify)
{
    char listen[32], metrics[32], control[96];
    snprintf(listen, sizeof listen, "127.0.0.1:%u", bridge->port);
    snprintf(metrics, sizeof metrics, "127.0.0.1:%u", bridge->metrics_port);
    snprintf(control, sizeof control, "%s/bridge.sock", bridge->directory);
    const char *arguments[FLAGS_MAX] = {BRIDGE_PROGRAM, "--instance", options->instance, "--listen", listen,
                                        "--metrics", metrics, "--control", control, "--cert", bridge->certificate,
                                        "--auth-token-file", bridge->token_file, "--log-level", "info"};
    size_t count = 0;
    while (arguments[count] != NULL)
        count++;
    for (size_t i = 0; options->flags != NULL && options->flags[i] != NULL && count < FLAGS_MAX - 1; i++)
        arguments[count++] = options->flags[i];

    struct rlimit limit = {options->descriptors, options->descriptors};
    int log = open(bridge->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log < 0 || dup2(log, STDERR_FILENO) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 ||
        setenv("NOTIFY_SOCKET", notify, 1) != 0 ||
        (options->descriptors > 0 && setrlimit(RLIMIT_NOFILE, &limit) != 0))
        _exit(126);
    execv(BRIDGE_PROGRAM, (char *const *)(uintptr_t)arguments);
    _exit(127);
}

/* True: ready; false: it ended. */
static bool await_ready(const struct bridge_process *bridge, int notify)
{
    uint64_t until = now_ns() + PATIENCE_NS;
    for (;;) {
        char text[256];
        struct pollfd poll_for = {.fd = notify, .events = POLLIN};
        int ready = poll(&poll_for, 1, 20);
        ssize_t got = ready > 0 ? recv(notify, text, sizeof text - 1, 0) : 0;
        if (got > 0 && (text[got] = '\0', strstr(text, "READY=1") != NULL))
            return true;
        if (waitpid(bridge->pid, NULL, WNOHANG) == bridge->pid)
            return false;
        REQUIRE(now_ns() < until, "the bridge does not become ready");
    }
}

static void read_token(struct bridge_process *bridge)
{
    FILE *file = fopen(bridge->token_file, "re");
    REQUIRE(file != NULL && fread(bridge->token, 1, 64, file) == 64, "%s holds no token", bridge->token_file);
    fclose(file);
    bridge->token[64] = '\0';
}

static bool start_once(struct bridge_process *bridge, const struct bridge_options *options)
{
    struct sockaddr_un address;
    int notify = notify_open(bridge, &address);
    bridge->pid = fork();
    REQUIRE(bridge->pid >= 0, "fork: %s", strerror(errno));
    if (bridge->pid == 0)
        run(bridge, options, address.sun_path);
    bool ready = await_ready(bridge, notify);
    close(notify);
    return ready;
}

void bridge_start(struct bridge_process *bridge, const struct bridge_options *options)
{
    test_instance();
    *bridge = (struct bridge_process){0};
    make_directory(bridge);
    unsigned tries = 0;
    do { /* another process may have taken one of the ports in between */
        if (tries++ == STARTS_MAX) {
            bridge_log_show(bridge);
            fail("the bridge does not start: %s", BRIDGE_PROGRAM);
        }
        bridge->port = free_port();
        bridge->metrics_port = free_port();
    } while (!start_once(bridge, options));
    running = bridge;
    read_token(bridge);
}

void bridge_start_again(struct bridge_process *bridge, const struct bridge_options *options)
{
    bridge->metrics_port = free_port();
    if (!start_once(bridge, options)) {
        bridge_log_show(bridge);
        fail("the bridge does not start again at port %u", bridge->port);
    }
    running = bridge;
    read_token(bridge);
}

void bridge_kill(struct bridge_process *bridge)
{
    bridge_alive(bridge);
    running = NULL;
    kill(bridge->pid, SIGKILL);
    REQUIRE(waitpid(bridge->pid, NULL, 0) == bridge->pid, "waitpid: %s", strerror(errno));
}

void bridge_alive(const struct bridge_process *bridge)
{
    int status;
    if (waitpid(bridge->pid, &status, WNOHANG) == 0)
        return;
    running = NULL;
    bridge_log_show(bridge);
    fail("the bridge ended: %s %d", WIFSIGNALED(status) ? "signal" : "status",
         WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

void bridge_stop(struct bridge_process *bridge)
{
    int status = 0;
    bridge_alive(bridge);
    kill(bridge->pid, SIGTERM);
    uint64_t until = now_ns() + PATIENCE_NS;
    while (waitpid(bridge->pid, &status, WNOHANG) == 0) {
        REQUIRE(now_ns() < until, "the bridge does not end");
        poll(NULL, 0, 5);
    }
    running = NULL;
    if (status != 0) {
        bridge_log_show(bridge);
        fail("the bridge ended badly: %s %d", WIFSIGNALED(status) ? "signal" : "status",
             WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    }
}

/* ---- looking ----------------------------------------------------------------------------------------------------- */

static int metrics_connect(const struct bridge_process *bridge)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(bridge->metrics_port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0, "metrics: %s", strerror(errno));
    return fd;
}

static char *metrics_fetch(const struct bridge_process *bridge)
{
    static char page[256 * 1024];
    static const char request[] = "GET /metrics HTTP/1.0\r\n\r\n";
    int fd = metrics_connect(bridge);
    REQUIRE(send(fd, request, sizeof request - 1, MSG_NOSIGNAL) == sizeof request - 1, "metrics: %s", strerror(errno));
    size_t length = 0;
    for (ssize_t got; (got = recv(fd, page + length, sizeof page - 1 - length, 0)) > 0;)
        length += (size_t)got;
    close(fd);
    page[length] = '\0';
    return page;
}

uint64_t bridge_metric(const struct bridge_process *bridge, const char *name)
{
    uint64_t sum = 0;
    bool found = false;
    size_t length = strlen(name);
    for (char *line = metrics_fetch(bridge); line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, length) != 0 || (line[length] != ' ' && line[length] != '{'))
            continue;
        const char *number = line[length] == '{' ? strchr(line, '}') + 1 : line + length;
        sum += (uint64_t)strtod(number, NULL);
        found = true;
    }
    REQUIRE(found, "there is no metric %s", name);
    return sum;
}

size_t bridge_log_count(const struct bridge_process *bridge, const char *text)
{
    char line[4096];
    size_t count = 0;
    FILE *file = fopen(bridge->log, "re");
    REQUIRE(file != NULL, "%s: %s", bridge->log, strerror(errno));
    while (fgets(line, sizeof line, file) != NULL)
        count += strstr(line, text) != NULL;
    fclose(file);
    return count;
}

void bridge_log_show(const struct bridge_process *bridge)
{
    enum { SHOWN = 16 * 1024 };
    char line[4096];
    FILE *file = fopen(bridge->log, "re");
    if (file == NULL)
        return;
    if (fseek(file, -SHOWN, SEEK_END) == 0 && fgets(line, sizeof line, file) == NULL)
        line[0] = '\0';
    while (fgets(line, sizeof line, file) != NULL)
        fprintf(stderr, "bridge: %s", line);
    fclose(file);
}

uint64_t process_resident_bytes(pid_t pid)
{
    char path[64], line[256];
    unsigned long long kilobytes = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "re");
    REQUIRE(file != NULL, "%s: %s", path, strerror(errno));
    while (fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "VmRSS: %llu", &kilobytes) == 1)
            break;
    fclose(file);
    REQUIRE(kilobytes > 0, "%s says no VmRSS", path);
    return kilobytes * 1024;
}

uint64_t process_cpu_ns(pid_t pid)
{
    clockid_t clock;
    struct timespec used;
    REQUIRE(clock_getcpuclockid(pid, &clock) == 0 && clock_gettime(clock, &used) == 0, "CPU time of %d", (int)pid);
    return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

bool raise_descriptors(unsigned wanted)
{
    struct rlimit limit;
    REQUIRE(getrlimit(RLIMIT_NOFILE, &limit) == 0, "getrlimit: %s", strerror(errno));
    if (limit.rlim_max < wanted) {
        printf("skipped: the hard limit of open files is %llu, %u are needed\n", (unsigned long long)limit.rlim_max,
               wanted);
        return false;
    }
    if (limit.rlim_cur < wanted)
        limit.rlim_cur = wanted;
    REQUIRE(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit: %s", strerror(errno));
    return true;
}
