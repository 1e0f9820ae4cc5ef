/**
 * @file cast.h  Lenient point reads: whatever is held, converted as the existing agents' getters convert it.
 *
 * cfgs_get_* (get.h) are strict: another kind is an error.  cfgs_cast_* read the same settings the way those agents do:
 * text becomes a number, a number text, JSON text a map; what cannot be converted is the zero value, and the result
 * code says so where the agents log a line.  New code takes get.h; code that must behave as it did takes these.
 *
 * Unlike everything else in the library, these functions ALWAYS write their results; results and codes:
 *   CFGS_OK                 converted, or nothing to convert
 *   CFGS_ERR_UNKNOWN_KEY    no setting of that name, and nothing below it: the zero value; or only undeclared settings
 *                           below it (CFGS_SETTING_UNDECLARED): the section
 *   CFGS_ERR_CAST_FAILED    the value cannot be converted: the zero value
 *   CFGS_ERR_BAD_ELEMENT    an element of the list cannot be converted: no list
 *   anything else           as in get.h (NOT_READY, BUSY, CORRUPT, FORKED, INVALID, MEMORY; for sections also
 *                           TOO_LARGE): the zero value, NULL for what would be allocated
 * Zero values: false, 0, 0.0, "", a list of no elements, a struct of no entries.
 *
 * Conversions (those of the spf13/cast library of Go, on which the agents build):
 *   bool      numbers: not 0; text: 1 t T TRUE true True, 0 f F FALSE false False
 *   int       bool: 1 or 0; double: cut off, if it fits; text: decimal, or with 0x, 0o, 0b or leading-0 (octal) prefix, and
 *             '_' between digits; a fraction of zeros ("2.00") is cut off
 *   double    bool: 1 or 0; text: decimal, hexadecimal with exponent (0x1p-2), inf, nan
 *   string    bool: true, false; numbers: shortest decimal, without exponent.  A text that holds a NUL byte fails
 *   duration  numbers: nanoseconds; text: 1h30m, or without a unit nanoseconds
 *   size      whole numbers: bytes; text: as cfgs_size_parse() reads it.  Negative sizes fail
 *   lists     text is cut at white space (of ASCII); a bool or number is a list of itself
 *   maps      text is read as a JSON object
 * Texts in lists and maps of strings: an element that is a null, a list or a map gives "", without a word, as there.
 * A null is the zero value.  Only duration fails on null and on a missing key (CFGS_ERR_CAST_FAILED), as there.
 *
 * Threads: any.  Cost: as in get.h where the strict getter reads the value; else an allocation and a copy of it.  A section
 * or a key that does not exist costs one pass over all settings.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CONFIGSTREAM_CAST_H
#define CONFIGSTREAM_CAST_H

#include <configstream/get.h>

CFGS_BEGIN_DECLS

CFGS_API CFGS_NODISCARD int cfgs_cast_bool(cfgs_reader *reader, const char *key, bool *out);
CFGS_API CFGS_NODISCARD int cfgs_cast_int(cfgs_reader *reader, const char *key, int64_t *out);
CFGS_API CFGS_NODISCARD int cfgs_cast_double(cfgs_reader *reader, const char *key, double *out);
CFGS_API CFGS_NODISCARD int cfgs_cast_duration(cfgs_reader *reader, const char *key, int64_t *nanoseconds);
CFGS_API CFGS_NODISCARD int cfgs_cast_size(cfgs_reader *reader, const char *key, uint64_t *bytes);

/** *out is malloc()ed and NUL-terminated: free(*out).  NULL only with an error other than the three above. */
CFGS_API CFGS_NODISCARD int cfgs_cast_string(cfgs_reader *reader, const char *key, char **out);

/**
 * As cfgs_value_string_list() and cfgs_value_float_list(): one malloc()ed block, free(*items).  A null, a missing key and
 * every error give NULL with *count 0; an empty list is a block with *count 0.
 */
CFGS_API CFGS_NODISCARD int cfgs_cast_string_list(cfgs_reader *reader, const char *key, char ***items, size_t *count);
CFGS_API CFGS_NODISCARD int cfgs_cast_float_list(cfgs_reader *reader, const char *key, double **items, size_t *count);

/**
 * Copies, to be read with value.h; free with cfgs_copy_free().  NULL only with an error other than the three above.
 *
 * value       whatever is held; for a section the merged map of its settings; null if there is nothing
 * map         a struct; a section too
 * string_map  a struct of strings: each entry as cfgs_cast_string
 * list_map    a struct of lists of strings: each entry as cfgs_cast_string_list, a null as an empty list; an entry that is a
 *             map fails the whole
 */
CFGS_API CFGS_NODISCARD int cfgs_cast_value(cfgs_reader *reader, const char *key, cfgs_copy **out);
CFGS_API CFGS_NODISCARD int cfgs_cast_map(cfgs_reader *reader, const char *key, cfgs_copy **out);
CFGS_API CFGS_NODISCARD int cfgs_cast_string_map(cfgs_reader *reader, const char *key, cfgs_copy **out);
CFGS_API CFGS_NODISCARD int cfgs_cast_list_map(cfgs_reader *reader, const char *key, cfgs_copy **out);

/** The winning source; CFGS_SOURCE_UNKNOWN for sections and for keys that do not exist (with CFGS_OK). */
CFGS_API CFGS_NODISCARD int cfgs_cast_source(cfgs_reader *reader, const char *key, int *source);

CFGS_END_DECLS

#endif
