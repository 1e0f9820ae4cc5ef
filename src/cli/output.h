/* cli/output.h: settings as lines for people and for programs.  SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include "cli/options.h"

#include <configstream/configstream.h>
#include <jansson.h>
#include <stdbool.h>

#define OUTPUT_MASK "********"

/** Whether a setting's value is to be hidden where it is shown unasked. */
bool output_is_secret(const cfgs_setting *setting);

/** Whether a value is, or holds, a URL with a password, or has a member that is named like a credential. */
bool output_holds_secret(const cfgs_value *value);

/** A value as JSON; the mask instead if hidden.  A new reference; ends the program when memory ran out. */
json_t *output_json(const cfgs_value *value, bool hidden);

/** {"key","value","source","sequence"} and, if hidden, "masked". */
json_t *output_setting(const cfgs_setting *setting, bool hidden);

/** A text of known length as JSON. */
json_t *output_text(cfgs_bytes text);

/** Print on one line and let go of it. */
void output_line(json_t *json);

/* Parts of a line for people, in colour if output_colour() said so. */
enum output_style { STYLE_KEY, STYLE_VALUE, STYLE_SOURCE, STYLE_GOOD, STYLE_DOUBTFUL, STYLE_BAD };

/** Whether texts for people are coloured.  At the start they are not. */
void output_colour(enum cli_colour when);

/** Text for people, control characters escaped. */
void output_styled(enum output_style style, cfgs_bytes text);

/** Add a member, or an element, and let go of it. */
void output_add(json_t *object, const char *name, json_t *value);
void output_addn(json_t *object, cfgs_bytes name, json_t *value);
void output_append(json_t *list, json_t *value);

/** The value as JSON text on standard output, or the mask; no newline. */
void output_value(const cfgs_value *value, bool hidden);

/** JSON text as output_value() prints it; lets go of it. */
void output_value_json(json_t *json);

/** A string as it is (on a terminal with its control characters escaped, but for line ends and tabs), anything else as
 * JSON; with a newline. */
void output_bare(const cfgs_value *value);

void output_key(cfgs_bytes key);

/** "(file)", between two texts. */
void output_source(const char *before, cfgs_bytes source, const char *after);

/** A setting on a line of its own: "key = value  (source)", or the JSON of output_setting(). */
void output_listed(const cfgs_setting *setting, bool json, bool hidden);

/** A text that ends with a NUL. */
cfgs_bytes output_bytes(const char *text);

/** Flush; false (with a complaint) when standard output is gone or full. */
bool output_finish(void);

#endif
