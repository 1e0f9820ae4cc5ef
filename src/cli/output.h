/* cli/output.h: settings as lines for people and for programs.  SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <configstream/configstream.h>
#include <jansson.h>
#include <stdbool.h>

#define OUTPUT_MASK "********"

/** Whether a setting's value is to be hidden where it is shown unasked. */
bool output_is_secret(const cfgs_setting *setting);

/** Whether a value is, or holds, a URL with a password. */
bool output_holds_password(const cfgs_value *value);

/** A value as JSON; the mask instead if hidden.  A new reference; ends the program when memory ran out. */
json_t *output_json(const cfgs_value *value, bool hidden);

/** {"key","value","source","sequence"} and, if hidden, "masked". */
json_t *output_setting(const cfgs_setting *setting, bool hidden);

/** A text of known length as JSON. */
json_t *output_text(cfgs_bytes text);

/** Print on one line and let go of it. */
void output_line(json_t *json);

/** Add a member and let go of it. */
void output_add(json_t *object, const char *name, json_t *value);

/** The value as JSON text on standard output, or the mask; no newline. */
void output_value(const cfgs_value *value, bool hidden);

/** A string as it is, anything else as JSON; with a newline. */
void output_bare(const cfgs_value *value);

/** A key for people: control characters escaped. */
void output_key(cfgs_bytes key);

/** Flush; false (with a complaint) when standard output is gone or full. */
bool output_finish(void);

#endif
