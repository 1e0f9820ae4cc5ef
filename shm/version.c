/* version.c  SPDX-License-Identifier: Apache-2.0 */
#include <configstream/version.h>

const char *cfgs_version(void)
{
    return CFGS_VERSION;
}
