/* publish.c: see publish.h.  SPDX-License-Identifier: Apache-2.0 */
#include "publish.h"
#include "check.h"
#include "process.h"

cfgs_publisher *producer_open(uint32_t ring_slots)
{
    cfgs_publisher *publisher;
    cfgs_publisher_options options = {.instance = test_instance(), .ring_slots = ring_slots};
    OK(cfgs_publisher_open(&options, &publisher));
    return publisher;
}

cfgs_setting setting_of(const char *key, cfgs_value value, int source)
{
    const char *name = cfgs_source_name(source);
    return (cfgs_setting){
        .key = {key, strlen(key)}, .value = value, .source = source, .source_name = {name, strlen(name)}};
}

void publish_text(cfgs_publisher *publisher, const char *key, const char *text, int source)
{
    cfgs_setting setting = setting_of(key, cfgs_value_string(text, strlen(text)), source);
    OK(cfgs_publisher_set(publisher, &setting, CFGS_SOURCE_NONE, NULL));
}

void publish_load(cfgs_publisher *publisher, unsigned count, size_t length)
{
    char *text = need(malloc(length + 1));
    memset(text, 'v', length);
    cfgs_batch *batch;
    OK(cfgs_batch_begin(publisher, &batch));
    for (unsigned i = 0; i < count; i++) {
        char key[32];
        snprintf(key, sizeof key, "load.%u", i);
        cfgs_setting setting = setting_of(key, cfgs_value_string(text, length), CFGS_SOURCE_FILE);
        OK(cfgs_batch_set(batch, &setting, CFGS_SOURCE_NONE));
    }
    OK(cfgs_batch_commit(batch, NULL));
    free(text);
}

cfgs_reader *reader_open(cfgs_publisher *publisher)
{
    cfgs_reader *reader;
    OK(cfgs_publisher_reader(publisher, &reader));
    return reader;
}

uint64_t random_next(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}
