/* SPDX-License-Identifier: Apache-2.0 */
#include "scene.h"

#include "event/updates.h"

#include <sys/mman.h>

struct bridge bridge;
struct worker worker;
cfgs_publisher *publisher;

static const struct registry_settings USUAL = {
    .enabled = true, .idle_timeout_ms = 3600 * 1000, .refresh_interval_ms = 10 * 1000, .agents_max = 3};

static int log_fd = -1;

void scene_begin(void)
{
    cfgs_publisher_options options = {.in_memory = true, .ring_slots = 64, .origin = "datadog.yaml"};
    publisher = publish_with(NULL, options);
    bridge = (struct bridge){.log = {.level = LOG_OFF}, .workers = &worker, .worker_count = 1};
    limits_init(&bridge.limits);
    bridge.registry = registry_new(&USUAL);
    bridge.snapshots = snapshots_new(&bridge.limits, &bridge.log);
    worker = (struct worker){.bridge = &bridge, .reader = reader_of(publisher), .updates = update_frames_new()};
    worker.scratch = malloc(WORKER_SCRATCH_BYTES);
    cr_assert(bridge.registry && bridge.snapshots && worker.updates && worker.scratch);
    list_init(&worker.streams);
    list_init(&worker.watches);
    worker.now_ms = 1000;
}

void scene_end(void)
{
    cr_expect(list_empty(&worker.streams) && list_empty(&worker.watches));
    cr_expect_eq(COUNTED(subscribers), 0);
    free(worker.scratch);
    update_frames_free(worker.updates);
    snapshots_free(bridge.snapshots);
    registry_free(bridge.registry);
    cfgs_reader_close(worker.reader);
    cfgs_publisher_close(publisher, false);
}

void scene_register(char session[SESSION_ID_BYTES])
{
    char reason[256];
    struct registration registration = {
        .pid = "", .flavor = "test", .display_name = "Test", .api_endpoint_uri = "localhost:50051"};
    cr_assert_eq(registry_register(bridge.registry, &registration, session, reason), REGISTRY_OK);
}

static void set_registry(bool enabled, int64_t idle_timeout_ms)
{
    struct registry_settings settings = USUAL;
    settings.enabled = enabled;
    settings.idle_timeout_ms = idle_timeout_ms;
    settings.refresh_interval_ms = idle_timeout_ms < 0 ? 0 : USUAL.refresh_interval_ms;
    registry_set(bridge.registry, &settings);
}

void scene_sessions_end(void)
{
    set_registry(true, -1);
    registry_reap(bridge.registry);
}

void scene_disable_registry(void) { set_registry(false, USUAL.idle_timeout_ms); }

void scene_catch_log(enum log_level level)
{
    log_fd = memfd_create("log", MFD_CLOEXEC);
    cr_assert(log_fd >= 0 && dup2(log_fd, STDERR_FILENO) >= 0);
    bridge.log.level = level;
}

unsigned scene_logged(const char *text)
{
    static char lines[65536];
    unsigned count = 0;
    ssize_t length = pread(log_fd, lines, sizeof lines - 1, 0);
    cr_assert(length >= 0);
    lines[length] = '\0';
    for (const char *at = lines; (at = strstr(at, text)) != NULL; at += strlen(text))
        count++;
    return count;
}
