/**
 * @file source.h  Where a setting's value came from, and which source wins.
 *
 * The vocabulary and the order are those of the existing agents' configuration (docs/architecture.md, "Sources").
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CONFIGSTREAM_SOURCE_H
#define CONFIGSTREAM_SOURCE_H

#include <configstream/export.h>
#include <stddef.h>

CFGS_BEGIN_DECLS

/** Sources, lowest priority first: the number is the priority.  Stored in the arena; never renumbered. */
typedef enum cfgs_source {
    CFGS_SOURCE_NONE = 0,                 /**< no source: of a removed setting, of one received without; no unset source */
    CFGS_SOURCE_DEFAULT = 1,              /**< "default" */
    CFGS_SOURCE_UNKNOWN = 2,              /**< "unknown" */
    CFGS_SOURCE_INFRA_MODE = 3,           /**< "infra-mode" */
    CFGS_SOURCE_FILE = 4,                 /**< "file" */
    CFGS_SOURCE_ENVIRONMENT_VARIABLE = 5, /**< "environment-variable" */
    CFGS_SOURCE_FLEET_POLICIES = 6,       /**< "fleet-policies" */
    CFGS_SOURCE_CONFIG_POST_INIT = 7,     /**< "config-post-init" */
    CFGS_SOURCE_SECRET = 8,               /**< "secret" */
    CFGS_SOURCE_LOCAL_CONFIG_PROCESS = 9, /**< "local-config-process" */
    CFGS_SOURCE_AGENT_RUNTIME = 10,       /**< "agent-runtime" */
    CFGS_SOURCE_REMOTE_CONFIG = 11,       /**< "remote-config" */
    CFGS_SOURCE_CLI = 12,                 /**< "cli" */
    CFGS_SOURCE_VERBATIM = 255            /**< a name not in this list, kept as text by a republisher */
} cfgs_source;

/** Number of sources with a name: 1 to CFGS_SOURCE_COUNT. */
#define CFGS_SOURCE_COUNT 12

/** The name of a source; "" for CFGS_SOURCE_NONE, NULL for CFGS_SOURCE_VERBATIM and anything else. Static storage. */
CFGS_API const char *cfgs_source_name(int source);

/** The source of this name (length bytes, no NUL needed); CFGS_SOURCE_VERBATIM if it is none of ours, NONE if empty. */
CFGS_API int cfgs_source_parse(const char *name, size_t length);

CFGS_END_DECLS

#endif
