/**
 * @file resolve/env_parser.h  The special readings of an environment variable's text that a setting can declare.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef RESOLVE_ENV_PARSER_H
#define RESOLVE_ENV_PARSER_H

#include "base/problem.h"
#include "resolve/kind.h"
#include "yaml/pool.h"

enum env_parser {
    ENV_PARSER_NONE,                         /* the text is converted to the setting's kind */
    ENV_PARSER_COMMA_SEPARATED,              /* cut at every comma, nothing trimmed */
    ENV_PARSER_CSV_COMMA_SEPARATED,          /* one CSV record (RFC 4180), leading blanks of a field dropped */
    ENV_PARSER_COMMA_AND_SPACE_SEPARATED,    /* cut at commas and spaces, empty parts dropped */
    ENV_PARSER_COMMA_THEN_SPACE_SEPARATED,   /* cut at commas if there is one, else at spaces; parts trimmed */
    ENV_PARSER_JSON_LIST_OR_COMMA_SEPARATED, /* [..] is a JSON list of strings; else cut at commas */
    ENV_PARSER_JSON_LIST_OR_SPACE_SEPARATED, /* the same with spaces */
    ENV_PARSER_JSON,                         /* one JSON document of the setting's kind */
    ENV_PARSER_NAME_RATE_PAIRS               /* name=rate,name=rate: a map of floats */
};

/** As in x-configstream; false if there is none of this name. */
bool env_parser_parse(const char *name, enum env_parser *out);

/** "comma_separated, csv_comma_separated, ...", for messages. */
extern const char env_parser_names[];

/** Read a text: a node that lives in the pool, or NULL with the reason (never the text) in the problem. */
const struct node *env_parser_read(enum env_parser parser, enum setting_kind kind, const char *text,
                                   struct pool_block **pool, struct problem *problem);

#endif
