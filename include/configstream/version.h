/**
 * @file version.h  Versions of the library and of the arena's layout.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CONFIGSTREAM_VERSION_H
#define CONFIGSTREAM_VERSION_H

#include <configstream/export.h>

CFGS_BEGIN_DECLS

#define CFGS_VERSION "0.1.0"
#define CFGS_VERSION_MAJOR 0
#define CFGS_VERSION_MINOR 1
#define CFGS_VERSION_PATCH 0

/** The arena layout this library writes.  Another major cannot be read; a higher minor can. */
#define CFGS_LAYOUT_MAJOR 1
#define CFGS_LAYOUT_MINOR 0

/** The version of the library at run time: "0.1.0". Static storage. */
CFGS_API const char *cfgs_version(void);

CFGS_END_DECLS

#endif
