/* section.h: what lies below a section.  SPDX-License-Identifier: Apache-2.0 */
#ifndef CFGS_SECTION_H
#define CFGS_SECTION_H

#include <configstream/get.h>

/* What to bring back besides the facts. */
enum section_part { SECTION_FACTS, SECTION_CONFIGURED, SECTION_ALL };

/* Does anything lie below it, and is some of it declared (by the producer's defaults) or set above the defaults? */
struct section_facts {
    bool any, declared, configured;
};

/* CFGS_ERR_NOT_FOUND if nothing lies below; else as cfgs_get_section().  out: NULL for SECTION_FACTS. */
int section_read(cfgs_reader *reader, const char *key, enum section_part part, struct section_facts *facts,
                 cfgs_copy **out);

#endif
