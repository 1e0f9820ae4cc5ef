/* cli/bridge.h: what the bridge of an instance says of itself.  SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_BRIDGE_H
#define CLI_BRIDGE_H

#include "cli/options.h"
#include "control/frame.h"

#include <configstream/configstream.h>
#include <jansson.h>

/**
 * Ask at the sockets where one may be: that of --bridge, or beside the daemon's, or where bridges make it by default.
 * An answer whose `bridge` is there, or NULL; free with configstream__control__response__free_unpacked().
 */
control_response *bridge_ask(const struct cli *cli, const cfgs_reader_info *info);

/** null for NULL. */
json_t *bridge_json(const control_response *answer);
void bridge_print(const control_response *answer);

#endif
