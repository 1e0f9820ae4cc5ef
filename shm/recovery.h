/* recovery.h: taking over what another producer left.  SPDX-License-Identifier: Apache-2.0 */
#ifndef CFGS_RECOVERY_H
#define CFGS_RECOVERY_H

#include "publisher_private.h"

/* Row C1: take up the live bank of publisher->file.  CFGS_ERR_CORRUPT: it contradicts itself (detail says how). */
int recovery_survey(cfgs_publisher *publisher);

/* Rows C2 to C5, after a survey.  CFGS_ERR_NO_SPACE, _MEMORY, _SYSTEM: the arena is as it was. */
int recovery_finish(cfgs_publisher *publisher);

/* Fill a new arena with what a surveyed other one holds, IDs included; both have one hash seed. */
int recovery_adopt(cfgs_publisher *publisher, cfgs_publisher *old);

#endif
