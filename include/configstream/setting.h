/**
 * @file setting.h  A setting: key, value, source, and the sequence ID of the update that made it so.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CONFIGSTREAM_SETTING_H
#define CONFIGSTREAM_SETTING_H

#include <configstream/source.h>
#include <configstream/value.h>

CFGS_BEGIN_DECLS

/** Longest key in bytes.  Keys are UTF-8 without NUL, by convention lower-case dotted paths. */
#define CFGS_KEY_MAX_BYTES 1024

/** Longest source name kept verbatim. */
#define CFGS_SOURCE_NAME_MAX_BYTES 255

/** Setting flags. */
#define CFGS_SETTING_SECRET 0x1u     /**< declared secret: programs mask the value wherever they show it unasked */
#define CFGS_SETTING_UNDECLARED 0x2u /**< the producer's defaults do not know the key; it stood in a file */
#define CFGS_SETTING_LOCAL 0x4u      /**< the value has no form in a stream (NaN, infinity): readers of this host only */

/** A borrowed setting; lifetime as said where it came from.  The layout only grows at the end. */
typedef struct cfgs_setting {
    cfgs_bytes key;
    cfgs_value value;
    cfgs_bytes source_name; /**< the source as text, also for the named sources */
    int source;             /**< enum cfgs_source */
    unsigned flags;         /**< CFGS_SETTING_* */
    uint64_t sequence;      /**< ID of the update that made it so; when publishing: ignored */
} cfgs_setting;

CFGS_END_DECLS

#endif
