/* registry/check.h: what a registration has to look like (upstream-facts 3).  SPDX-License-Identifier: Apache-2.0 */
#ifndef REGISTRY_CHECK_H
#define REGISTRY_CHECK_H

#include "registry/registry.h"

/** False, with the field and what is wrong with it in `reason`. */
bool registration_check(const struct registration *registration, char reason[256]);

#endif
