/* corpus.c  SPDX-License-Identifier: Apache-2.0 */
#include "corpus.h"
#include "rig.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES ((size_t)1 << 20)

struct corpus_block {
    struct corpus_block *next;
    size_t used;
    char bytes[BLOCK_BYTES];
};

static const char *const sections[] = {"apm_config",     "logs_config",  "process_config", "network_config",
                                       "security_agent", "otlp_config",  "cluster_agent",  "jmx_options",
                                       "telemetry",      "runtime",      "proxy",          "dogstatsd",
                                       "snmp_listener",  "system_probe", "forwarder",      "inventories"};
static const char *const groups[] = {"receiver", "batch", "buffer", "endpoints", "collector", "sampler",
                                     "tls",      "cache", "queue",  "discovery", "stats",     "http"};
static const char *const leaves[] = {"enabled", "timeout", "max_size", "interval", "level", "workers", "ratio", "tags"};

static const char *keep(struct corpus *corpus, const char *data, size_t length)
{
    struct corpus_block *block = corpus->blocks;

    if (block == NULL || BLOCK_BYTES - block->used < length + 1) {
        block = malloc(sizeof *block);
        if (block == NULL)
            rig_die("out of memory");
        block->next = corpus->blocks;
        block->used = 0;
        corpus->blocks = block;
    }
    char *to = block->bytes + block->used;
    memcpy(to, data, length);
    to[length] = '\0';
    block->used += length + 1;
    return to;
}

static cfgs_value text_value(struct corpus *corpus, size_t i, unsigned revision)
{
    static const char tail[] = ".intake.example.com:8443/api/v2";
    char text[64];
    int length = snprintf(text, sizeof text, "%c%07zu%.*s", revision == 0 ? 'a' : 'b', i % 10000000, (int)(i % 32),
                          tail);

    return cfgs_value_string(keep(corpus, text, (size_t)length), (size_t)length);
}

static cfgs_value list_value(struct corpus *corpus, cfgs_builder *builder, size_t i, unsigned revision)
{
    char text[32];
    cfgs_value value;

    cfgs_builder_reset(builder);
    cfgs_builder_begin_list(builder);
    for (size_t item = 0; item < 2 + i % 3; item++)
        cfgs_builder_add_string(builder, text,
                                (size_t)snprintf(text, sizeof text, "env:%zu-%u", i % 1000 + item, revision));
    cfgs_builder_end_list(builder);
    rig_check(cfgs_builder_finish(builder, &value), "building a list");
    value.as.bytes.data = keep(corpus, value.as.bytes.data, value.as.bytes.length);
    return value;
}

static cfgs_value struct_value(struct corpus *corpus, cfgs_builder *builder, size_t i, unsigned revision)
{
    cfgs_value value;

    cfgs_builder_reset(builder);
    cfgs_builder_begin_struct(builder);
    cfgs_builder_key(builder, "port", 4);
    cfgs_builder_add_double(builder, (double)(5000 + i % 1000));
    cfgs_builder_key(builder, "secure", 6);
    cfgs_builder_add_bool(builder, revision == 1);
    cfgs_builder_end_struct(builder);
    rig_check(cfgs_builder_finish(builder, &value), "building a struct");
    value.as.bytes.data = keep(corpus, value.as.bytes.data, value.as.bytes.length);
    return value;
}

static cfgs_value make_value(struct corpus *corpus, cfgs_builder *builder, size_t i, unsigned revision)
{
    size_t lot = (i * 2654435761u >> 13) % 20; /* as good as random, so that every selection has the same mix */

    if (lot < 6)
        return cfgs_value_bool(((i + revision) & 1) != 0);
    if (lot < 11)
        return cfgs_value_int((int64_t)(i * 1000 + revision));
    if (lot < 13)
        return cfgs_value_double((double)i / 8 + revision + 0.5);
    if (lot < 18)
        return text_value(corpus, i, revision);
    return lot == 18 ? list_value(corpus, builder, i, revision) : struct_value(corpus, builder, i, revision);
}

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

void corpus_make(size_t count, struct corpus *out)
{
    struct corpus corpus = {.count = count};
    cfgs_builder *builder;
    char key[96];

    corpus.entries = calloc(count, sizeof *corpus.entries);
    if (corpus.entries == NULL || cfgs_builder_new(&builder) != CFGS_OK)
        rig_die("out of memory");
    for (size_t i = 0; i < count; i++) {
        struct entry *entry = &corpus.entries[i];
        size_t group = i / COUNT_OF(sections), leaf = group / COUNT_OF(groups);
        int length = snprintf(key, sizeof key, "%s.%s.%s_%zu", sections[i % COUNT_OF(sections)],
                              groups[group % COUNT_OF(groups)], leaves[(leaf + i) % COUNT_OF(leaves)], i);
        entry->key = keep(&corpus, key, (size_t)length);
        entry->key_length = (size_t)length;
        for (unsigned revision = 0; revision < 2; revision++)
            entry->value[revision] = make_value(&corpus, builder, i, revision);
    }
    cfgs_builder_free(builder);
    *out = corpus;
}

void corpus_free(struct corpus *corpus)
{
    while (corpus->blocks != NULL) {
        struct corpus_block *next = corpus->blocks->next;
        free(corpus->blocks);
        corpus->blocks = next;
    }
    free(corpus->entries);
    *corpus = (struct corpus){0};
}

cfgs_setting corpus_setting(const struct entry *entry, unsigned revision)
{
    return (cfgs_setting){.key = {entry->key, entry->key_length},
                          .value = entry->value[revision],
                          .source = CFGS_SOURCE_FILE};
}

const struct entry *corpus_hot(const struct corpus *corpus, size_t number, size_t hot)
{
    return &corpus->entries[number * (corpus->count / hot)];
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

struct entry_list corpus_of_kind(const struct corpus *corpus, cfgs_kind kind, size_t hot)
{
    struct entry_list list = {.at = calloc(hot + 1, sizeof *list.at)};
    uint64_t state = 88172645463325252u;

    if (list.at == NULL)
        rig_die("out of memory");
    for (size_t i = 0; i < hot; i++) {
        const struct entry *entry = corpus_hot(corpus, i, hot);
        if (entry->value[0].kind == kind)
            list.at[list.count++] = entry;
    }
    for (size_t i = list.count; i > 1; i--) {
        uint64_t place = next_random(&state) % i;
        const struct entry *other = list.at[place];
        list.at[place] = list.at[i - 1];
        list.at[i - 1] = other;
    }
    return list;
}

void entry_list_draw(struct entry_list *list, size_t times)
{
    struct entry_list drawn = {.at = calloc(list->count * times + 1, sizeof *drawn.at), .count = list->count * times};
    uint64_t state = 362436069u + list->count;

    if (drawn.at == NULL)
        rig_die("out of memory");
    for (size_t i = 0; i < drawn.count; i++)
        drawn.at[i] = list->at[next_random(&state) % list->count];
    entry_list_free(list);
    *list = drawn;
}

void entry_list_free(struct entry_list *list)
{
    free(list->at);
    *list = (struct entry_list){0};
}

uint64_t fold_bytes(const char *data, size_t length)
{
    return length == 0 ? 0 : length * 65536 + (unsigned char)data[0] * 256u + (unsigned char)data[length - 1];
}

uint64_t fold_double(double number)
{
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    return bits;
}

uint64_t fold_value(const cfgs_value *value)
{
    switch (value->kind) {
    case CFGS_KIND_BOOL:
        return value->as.boolean;
    case CFGS_KIND_INT:
        return (uint64_t)value->as.integer;
    case CFGS_KIND_DOUBLE:
        return fold_double(value->as.number);
    case CFGS_KIND_STRING:
        return fold_bytes(value->as.bytes.data, value->as.bytes.length);
    default:
        return 0;
    }
}
