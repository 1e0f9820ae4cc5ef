/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <criterion/criterion.h>
#include <string.h>

Datadog__Model__V1__ConfigEvent *event_of(const uint8_t *bytes, size_t length)
{
    cr_assert(length > 5 && bytes[0] == 0, "an uncompressed message");
    size_t announced = (size_t)bytes[1] << 24 | (size_t)bytes[2] << 16 | (size_t)bytes[3] << 8 | bytes[4];
    cr_assert_eq(announced, length - 5);
    Datadog__Model__V1__ConfigEvent *event = datadog__model__v1__config_event__unpack(NULL, announced, bytes + 5);
    cr_assert_not_null(event);
    return event;
}

void event_free(Datadog__Model__V1__ConfigEvent *event)
{
    datadog__model__v1__config_event__free_unpacked(event, NULL);
}

const Datadog__Model__V1__ConfigSetting *setting_of_key(const Datadog__Model__V1__ConfigSnapshot *snapshot,
                                                        const char *key)
{
    for (size_t i = 0; i < snapshot->n_settings; i++)
        if (strcmp(snapshot->settings[i]->key, key) == 0)
            return snapshot->settings[i];
    return NULL;
}
