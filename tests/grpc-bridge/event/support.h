/* support.h: events as a client decodes them, by the generated code.  SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_EVENT_SUPPORT_H
#define TESTS_EVENT_SUPPORT_H

#include "event/snapshots.h"
#include "event/updates.h"

#include <datadog/model/v1/model.pb-c.h>

#define SET_LIMIT(limits, name, value) atomic_store(&(limits).name, value)

/* One whole message with its prefix, or the test fails.  To be freed by event_free(). */
Datadog__Model__V1__ConfigEvent *event_of(const uint8_t *bytes, size_t length);
void event_free(Datadog__Model__V1__ConfigEvent *event);

/* The setting of this key; NULL if there is none. */
const Datadog__Model__V1__ConfigSetting *setting_of_key(const Datadog__Model__V1__ConfigSnapshot *snapshot,
                                                        const char *key);

#endif
