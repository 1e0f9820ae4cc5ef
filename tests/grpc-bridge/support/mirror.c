/* mirror.c: see mirror.h.  SPDX-License-Identifier: Apache-2.0 */
#include "mirror.h"
#include "check.h"

#include <configstream/configstream.h>

struct mirror_entry {
    struct mirror_entry *next;
    struct parts parts; /* its bytes follow the entry */
};

struct event event_parse(const uint8_t *message, size_t length)
{
    struct bytes whole = {message, length};
    struct bytes snapshot = wire_bytes(whole, 1), update = wire_bytes(whole, 2);
    REQUIRE((snapshot.data != NULL) != (update.data != NULL), "a message is neither snapshot nor update");
    struct event event = {.snapshot = snapshot.data != NULL, .body = snapshot.data != NULL ? snapshot : update};
    event.sequence = (int32_t)wire_integer(event.body, 2);
    event.origin = wire_bytes(event.body, 1);
    return event;
}

struct parts parts_of(struct bytes setting)
{
    struct parts parts = {0};
    for (struct wire_field field; wire_next(&setting, &field);) {
        if (field.type != 2)
            continue;
        if (field.number == 1)
            parts.source = field.bytes;
        else if (field.number == 2)
            parts.key = field.bytes;
        else if (field.number == 3)
            parts.value = field.bytes;
        else if (field.number == 4)
            parts.unset_source = field.bytes;
        parts.has_value = parts.has_value || field.number == 3;
    }
    return parts;
}

static unsigned bucket_of(struct bytes key)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < key.length; i++)
        hash = (hash ^ key.data[i]) * 16777619u;
    return hash % MIRROR_BUCKETS;
}

static const struct mirror_entry *find(const struct mirror *mirror, struct bytes key)
{
    const struct mirror_entry *entry = mirror->buckets[bucket_of(key)];
    while (entry != NULL && !bytes_equal(entry->parts.key, key))
        entry = entry->next;
    return entry;
}

static struct bytes copy(uint8_t **to, struct bytes from)
{
    struct bytes copied = {*to, from.length};
    if (from.length > 0)
        memcpy(*to, from.data, from.length);
    *to += from.length;
    return copied;
}

static void drop(struct mirror *mirror, struct bytes key)
{
    struct mirror_entry **place = &mirror->buckets[bucket_of(key)], *entry;
    while (*place != NULL && !bytes_equal((*place)->parts.key, key))
        place = &(*place)->next;
    entry = *place;
    if (entry == NULL)
        return;
    *place = entry->next;
    free(entry);
    mirror->count--;
}

static void put(struct mirror *mirror, const struct parts *parts)
{
    drop(mirror, parts->key);
    struct mirror_entry *entry =
        need(malloc(sizeof *entry + parts->source.length + parts->key.length + parts->value.length));
    uint8_t *to = (uint8_t *)(entry + 1);
    entry->parts = (struct parts){.source = copy(&to, parts->source),
                                  .key = copy(&to, parts->key),
                                  .value = copy(&to, parts->value),
                                  .has_value = parts->has_value};
    struct mirror_entry **place = &mirror->buckets[bucket_of(entry->parts.key)];
    entry->next = *place;
    *place = entry;
    mirror->count++;
}

static void clear(struct mirror *mirror)
{
    for (unsigned i = 0; i < MIRROR_BUCKETS; i++)
        while (mirror->buckets[i] != NULL)
            drop(mirror, mirror->buckets[i]->parts.key);
}

struct mirror *mirror_new(void)
{
    struct mirror *mirror = need(calloc(1, sizeof *mirror));
    mirror->last = -1;
    return mirror;
}

void mirror_free(struct mirror *mirror)
{
    if (mirror == NULL)
        return;
    clear(mirror);
    free(mirror);
}

static void take_snapshot(struct mirror *mirror, const struct event *event, const char *who)
{
    REQUIRE(event->sequence > mirror->last, "%s: snapshot %d after %lld", who, event->sequence,
            (long long)mirror->last);
    clear(mirror);
    struct bytes rest = event->body;
    for (struct wire_field field; wire_next(&rest, &field);) {
        if (field.number != 3 || field.type != 2)
            continue;
        struct parts parts = parts_of(field.bytes);
        REQUIRE(find(mirror, parts.key) == NULL, "%s: a snapshot holds a key twice", who);
        REQUIRE(parts.unset_source.length == 0, "%s: a snapshot names an unset source", who);
        put(mirror, &parts);
    }
    mirror->snapshots++;
}

static void take_update(struct mirror *mirror, const struct event *event, const char *who)
{
    REQUIRE(mirror->snapshots > 0, "%s: update %d before any snapshot", who, event->sequence);
    REQUIRE(event->sequence == mirror->last + 1, "%s: update %d after %lld", who, event->sequence,
            (long long)mirror->last);
    struct parts parts = parts_of(wire_bytes(event->body, 3));
    REQUIRE(parts.key.length > 0, "%s: update %d names no key", who, event->sequence);
    if (parts.source.length == 0)
        drop(mirror, parts.key);
    else
        put(mirror, &parts);
    mirror->updates++;
}

struct event mirror_take(struct mirror *mirror, const uint8_t *message, size_t length, const char *who)
{
    struct event event = event_parse(message, length);
    if (event.snapshot)
        take_snapshot(mirror, &event, who);
    else
        take_update(mirror, &event, who);
    mirror->last = event.sequence;
    return event;
}

static int read_all(struct mirror *mirror, cfgs_view *view)
{
    cfgs_iterator iterator = {0};
    cfgs_bytes setting;
    unsigned flags;
    int result;
    clear(mirror);
    while ((result = cfgs_view_next_encoded(view, &iterator, &setting, &flags)) == 1) {
        struct parts parts = parts_of((struct bytes){(const uint8_t *)setting.data, setting.length});
        if (flags & CFGS_SETTING_LOCAL) /* has no form in a stream */
            parts.value = (struct bytes){0}, parts.has_value = false;
        put(mirror, &parts);
    }
    return result;
}

void mirror_read(struct mirror *mirror, cfgs_reader *reader)
{
    cfgs_view view;
    int result;
    OK(cfgs_view_begin(reader, &view));
    do {
        result = read_all(mirror, &view);
    } while (cfgs_view_retry(&view));
    OK(cfgs_view_error(&view));
    OK(result);
    mirror->last = (int64_t)cfgs_view_sequence(&view);
}

static void same_parts(const struct parts *remote, const struct parts *local, const char *who)
{
    int length = (int)local->key.length;
    const char *key = (const char *)local->key.data;
    REQUIRE(bytes_equal(remote->source, local->source), "%s: source of %.*s differs: %.*s, here %.*s", who, length, key,
            (int)remote->source.length, (const char *)remote->source.data, (int)local->source.length,
            (const char *)local->source.data);
    REQUIRE(remote->has_value == local->has_value && bytes_equal(remote->value, local->value),
            "%s: value of %.*s differs: %zu bytes, here %zu", who, length, key, remote->value.length,
            local->value.length);
}

void mirror_same(const struct mirror *remote, const struct mirror *local, const char *who)
{
    REQUIRE(remote->last == local->last, "%s: is at %lld, here %lld", who, (long long)remote->last,
            (long long)local->last);
    REQUIRE(remote->count == local->count, "%s: holds %zu keys at %lld, here %zu", who, remote->count,
            (long long)remote->last, local->count);
    for (unsigned i = 0; i < MIRROR_BUCKETS; i++)
        for (const struct mirror_entry *entry = local->buckets[i]; entry != NULL; entry = entry->next) {
            const struct mirror_entry *other = find(remote, entry->parts.key);
            REQUIRE(other != NULL, "%s: lacks %.*s", who, (int)entry->parts.key.length,
                    (const char *)entry->parts.key.data);
            same_parts(&other->parts, &entry->parts, who);
        }
}
