/**
 * @file get.h  Point reads: one key, now.
 *
 * Each call reads the newest committed state of one setting, without a system call, a lock, an allocation (but where
 * said) or a store to shared memory.  Reads of several keys that must fit each other take a view (view.h).
 *
 * All functions return CFGS_OK and write their results, or leave them untouched and return
 *   CFGS_ERR_NOT_FOUND  no setting has this key
 *   CFGS_ERR_KIND       it has another kind (see value.h for what each getter reads); also _RANGE and _SYNTAX
 *   CFGS_ERR_NOT_READY  no arena, or no first snapshot yet
 *   CFGS_ERR_BUSY       the bank was recycled under every one of 16 tries; the producer rebuilds faster than we read
 *   CFGS_ERR_CORRUPT    the arena contradicts itself
 *   CFGS_ERR_FORKED     the reader is the parent process's, and it would have to attach to a new arena
 *   CFGS_ERR_INVALID    the key is empty or longer than CFGS_KEY_MAX_BYTES
 *
 * Keys are NUL-terminated and compared bytewise.  Threads: any, at any time.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CONFIGSTREAM_GET_H
#define CONFIGSTREAM_GET_H

#include <configstream/reader.h>
#include <configstream/setting.h>

CFGS_BEGIN_DECLS

CFGS_API CFGS_NODISCARD int cfgs_get_bool(cfgs_reader *reader, const char *key, bool *out);
CFGS_API CFGS_NODISCARD int cfgs_get_int(cfgs_reader *reader, const char *key, int64_t *out);
CFGS_API CFGS_NODISCARD int cfgs_get_double(cfgs_reader *reader, const char *key, double *out);
CFGS_API CFGS_NODISCARD int cfgs_get_duration(cfgs_reader *reader, const char *key, int64_t *nanoseconds);
CFGS_API CFGS_NODISCARD int cfgs_get_size(cfgs_reader *reader, const char *key, uint64_t *bytes);

/**
 * Copy a string and end it with NUL.
 * @param buffer    may be NULL if capacity is 0.
 * @param capacity  bytes at buffer.
 * @param length    out, may be NULL: bytes of the text without the NUL; also written with CFGS_ERR_BUFFER.
 * @return also CFGS_ERR_BUFFER: capacity is not greater than *length; buffer is untouched.
 */
CFGS_API CFGS_NODISCARD int cfgs_get_string(cfgs_reader *reader, const char *key, char *buffer, size_t capacity,
                                            size_t *length);

/** As cfgs_value_string_list() and cfgs_value_float_list(): one malloc()ed block, free(*items). Also CFGS_ERR_MEMORY. */
CFGS_API CFGS_NODISCARD int cfgs_get_string_list(cfgs_reader *reader, const char *key, char ***items, size_t *count);
CFGS_API CFGS_NODISCARD int cfgs_get_float_list(cfgs_reader *reader, const char *key, double **items, size_t *count);

/**
 * Copies of whole values, to be read with value.h; free with cfgs_copy_free(). Also CFGS_ERR_MEMORY.
 *
 * value     any kind
 * list      a list of anything
 * map       a struct
 * map_list  a list whose elements are all structs (CFGS_ERR_KIND otherwise)
 * list_map  a struct whose entries are all lists of strings (CFGS_ERR_KIND otherwise)
 */
CFGS_API CFGS_NODISCARD int cfgs_get_value(cfgs_reader *reader, const char *key, cfgs_copy **out);
CFGS_API CFGS_NODISCARD int cfgs_get_list(cfgs_reader *reader, const char *key, cfgs_copy **out);
CFGS_API CFGS_NODISCARD int cfgs_get_map(cfgs_reader *reader, const char *key, cfgs_copy **out);
CFGS_API CFGS_NODISCARD int cfgs_get_map_list(cfgs_reader *reader, const char *key, cfgs_copy **out);
CFGS_API CFGS_NODISCARD int cfgs_get_list_map(cfgs_reader *reader, const char *key, cfgs_copy **out);

/**
 * The merged map of all settings below a section: for "logs_config" a struct of use_compression, ... with deeper
 * sections as nested structs.  Where one setting's key is the prefix of another's, the section wins over the value.
 * "" gives everything.  CFGS_ERR_NOT_FOUND if nothing lies below it.
 * Cost: one pass over all settings, as of one point in time, and allocations.
 */
CFGS_API CFGS_NODISCARD int cfgs_get_section(cfgs_reader *reader, const char *section, cfgs_copy **out);

/** The same, of what is configured only (see cfgs_get_configured()); an empty struct when nothing below it is. */
CFGS_API CFGS_NODISCARD int cfgs_get_configured_section(cfgs_reader *reader, const char *section, cfgs_copy **out);

/** The winning source of a key: enum cfgs_source (CFGS_SOURCE_VERBATIM when it is a name of its own). */
CFGS_API CFGS_NODISCARD int cfgs_get_source(cfgs_reader *reader, const char *key, int *source);

/** Whether anything above "default" set the key, or, for a section, a setting below it (one pass over all settings). */
CFGS_API CFGS_NODISCARD int cfgs_get_configured(cfgs_reader *reader, const char *key, bool *configured);

/** The ID of the update that gave the key its value. */
CFGS_API CFGS_NODISCARD int cfgs_get_sequence(cfgs_reader *reader, const char *key, uint64_t *sequence);

/* ---- handles --------------------------------------------------------------------------------------------------- */

/**
 * A pre-resolved key for hot paths: skips hashing and the index.  The key need not exist (yet), and may come and go.
 * A handle belongs to one thread at a time, borrows its reader, and stays valid through updates, rebuilds, producer
 * restarts and arena replacement; it looks the key up again by itself where one of those moved it.
 */
typedef struct cfgs_handle cfgs_handle;

/** CFGS_OK, CFGS_ERR_INVALID (key), CFGS_ERR_MEMORY.  Free before the reader is closed. */
CFGS_API CFGS_NODISCARD int cfgs_handle_new(cfgs_reader *reader, const char *key, cfgs_handle **out);
CFGS_API void cfgs_handle_free(cfgs_handle *handle); /* NULL is fine */

/** As the point reads. Cost: about ten loads from warm cache lines. */
CFGS_API CFGS_NODISCARD int cfgs_handle_get_bool(cfgs_handle *handle, bool *out);
CFGS_API CFGS_NODISCARD int cfgs_handle_get_int(cfgs_handle *handle, int64_t *out);
CFGS_API CFGS_NODISCARD int cfgs_handle_get_double(cfgs_handle *handle, double *out);
CFGS_API CFGS_NODISCARD int cfgs_handle_get_duration(cfgs_handle *handle, int64_t *nanoseconds);
CFGS_API CFGS_NODISCARD int cfgs_handle_get_size(cfgs_handle *handle, uint64_t *bytes);
CFGS_API CFGS_NODISCARD int cfgs_handle_get_string(cfgs_handle *handle, char *buffer, size_t capacity, size_t *length);

CFGS_END_DECLS

#endif
