/* registry/session_id.h: random UUIDs (version 4) as text.  SPDX-License-Identifier: Apache-2.0 */
#ifndef REGISTRY_SESSION_ID_H
#define REGISTRY_SESSION_ID_H

#include "registry/registry.h"

/** From the kernel's random generator; false: it gave none. */
bool session_id_make(char out[SESSION_ID_BYTES]);

/** Of any text of that length: for those we made, its first characters are random enough. */
uint32_t session_id_hash(const char *id);

#endif
