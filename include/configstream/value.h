/**
 * @file value.h  Values: kinds, typed access, zero-copy cursors over lists and structs, and a builder.
 *
 * A value has one of the kinds of google.protobuf.Value, with integers beside doubles.  Scalars are exact.  Lists and
 * structs are held in the protobuf wire form of google.protobuf.ListValue and Struct and are read in place.  Numbers
 * inside them are doubles, but for integers that a double would round: those are of kind int there, too.
 *
 * A cfgs_value is a small struct that borrows its bytes.  How long they live is said where the value came from:
 * a view's values until the view ends, an event's until the next cfgs_reader_next(), a copy's until cfgs_copy_free().
 * Values read from a view may change under the reader's feet; every function here checks bounds on every step, so the
 * worst that happens is a wrong result, which the view's final validation rejects.
 *
 * Threads: pure functions of their arguments, but for the builder, which belongs to one thread at a time.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CONFIGSTREAM_VALUE_H
#define CONFIGSTREAM_VALUE_H

#include <configstream/export.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

CFGS_BEGIN_DECLS

/** Kinds, as stored in the arena; never renumbered. */
typedef enum cfgs_kind {
    CFGS_KIND_NULL = 0,
    CFGS_KIND_BOOL = 1,
    CFGS_KIND_INT = 2,    /**< exact 64-bit integer; a duration is one, in nanoseconds */
    CFGS_KIND_DOUBLE = 3,
    CFGS_KIND_STRING = 4, /**< UTF-8, may hold NUL bytes */
    CFGS_KIND_LIST = 5,   /**< bytes are a google.protobuf.ListValue */
    CFGS_KIND_STRUCT = 6  /**< bytes are a google.protobuf.Struct, its entries sorted by key */
} cfgs_kind;

/** Largest encoded value, and deepest nesting of lists and structs. */
#define CFGS_VALUE_MAX_BYTES (16u << 20)
#define CFGS_VALUE_MAX_DEPTH 128

/** A borrowed run of bytes; not NUL-terminated. */
typedef struct cfgs_bytes {
    const char *data;
    size_t length;
} cfgs_bytes;

/** A borrowed value; 32 bytes. */
typedef struct cfgs_value {
    cfgs_kind kind;
    union {
        bool boolean;     /**< CFGS_KIND_BOOL */
        int64_t integer;  /**< CFGS_KIND_INT */
        double number;    /**< CFGS_KIND_DOUBLE */
        cfgs_bytes bytes; /**< STRING: the text; LIST, STRUCT: the encoded message */
    } as;
} cfgs_value;

/** The name of a kind: "null", "bool", "int", "double", "string", "list", "struct"; "?" otherwise. Static storage. */
CFGS_API const char *cfgs_kind_name(int kind);

/** Short ways to make a value; text and bytes stay the caller's and must outlive the value. */
CFGS_API cfgs_value cfgs_value_null(void);
CFGS_API cfgs_value cfgs_value_bool(bool boolean);
CFGS_API cfgs_value cfgs_value_int(int64_t integer);
CFGS_API cfgs_value cfgs_value_double(double number);
CFGS_API cfgs_value cfgs_value_string(const char *text, size_t length);

/**
 * Typed access.  All return CFGS_OK and write *out, or leave *out untouched and return
 *   CFGS_ERR_KIND    the value has another kind
 *   CFGS_ERR_RANGE   it has a fitting kind but does not fit (fraction, overflow, negative size)
 *   CFGS_ERR_SYNTAX  duration and size only: the text does not read as one
 *
 * int       int, or a double that is whole and fits int64
 * double    double, or int (rounded to the nearest double)
 * duration  nanoseconds: int or whole double taken as nanoseconds, or text such as "1h30m", "1.5s", "300ms", "10us"
 * size      bytes: int or whole double, or text such as "512", "10kb", "5 MB", "1g" (powers of 1024, any case); the number
 *           may be written with 0x, 0o, 0b or leading-0 (octal) prefix, as the agents read it: "010" is 8
 */
CFGS_API CFGS_NODISCARD int cfgs_value_get_bool(const cfgs_value *value, bool *out);
CFGS_API CFGS_NODISCARD int cfgs_value_get_int(const cfgs_value *value, int64_t *out);
CFGS_API CFGS_NODISCARD int cfgs_value_get_double(const cfgs_value *value, double *out);
CFGS_API CFGS_NODISCARD int cfgs_value_get_string(const cfgs_value *value, cfgs_bytes *out);
CFGS_API CFGS_NODISCARD int cfgs_value_get_duration(const cfgs_value *value, int64_t *nanoseconds);
CFGS_API CFGS_NODISCARD int cfgs_value_get_size(const cfgs_value *value, uint64_t *bytes);

/** Parse the texts above.  CFGS_OK, CFGS_ERR_SYNTAX or CFGS_ERR_RANGE; *out untouched on failure. */
CFGS_API CFGS_NODISCARD int cfgs_duration_parse(const char *text, size_t length, int64_t *nanoseconds);
CFGS_API CFGS_NODISCARD int cfgs_size_parse(const char *text, size_t length, uint64_t *bytes);

/** Same kind and same content (a double compares by its bits, so NaN equals itself and 0.0 differs from -0.0). */
CFGS_API bool cfgs_value_equal(const cfgs_value *a, const cfgs_value *b);

/**
 * Zero-copy cursor over the elements of a list or the entries of a struct.
 *
 *     cfgs_cursor c;
 *     cfgs_value item;
 *     int err = cfgs_cursor_init(&c, &list);
 *     while (err == CFGS_OK && (err = cfgs_cursor_next(&c, NULL, &item)) == 1) { ...; err = CFGS_OK; }
 */
typedef struct cfgs_cursor {
    const char *at, *end;
    int kind;
} cfgs_cursor;

/** Start over a value of kind LIST (or STRUCT).  CFGS_OK or CFGS_ERR_KIND. The cursor borrows the value's bytes. */
CFGS_API CFGS_NODISCARD int cfgs_cursor_init(cfgs_cursor *cursor, const cfgs_value *container);

/**
 * The next element.  For a struct *key is its name (ignored, and may be NULL, for a list).
 * @return 1 and *key, *item written; 0 at the end; CFGS_ERR_CORRUPT if the bytes are not a valid message.
 * Cost: O(1) and the element's tag bytes; nothing is copied.
 */
CFGS_API CFGS_NODISCARD int cfgs_cursor_next(cfgs_cursor *cursor, cfgs_bytes *key, cfgs_value *item);

/** Number of elements or entries, by walking them; CFGS_ERR_KIND or CFGS_ERR_CORRUPT. */
CFGS_API CFGS_NODISCARD int64_t cfgs_value_count(const cfgs_value *container);

/** The entry of a struct with this key.  CFGS_OK, CFGS_ERR_NOT_FOUND, CFGS_ERR_KIND, CFGS_ERR_CORRUPT. O(entries). */
CFGS_API CFGS_NODISCARD int cfgs_value_field(const cfgs_value *container, const char *key, cfgs_value *out);

/**
 * Walk the whole value and check that it is well-formed: messages, UTF-8 of all texts, depth, size, struct keys
 * sorted and unique, integers beside their rounding.  CFGS_OK, CFGS_ERR_CORRUPT, CFGS_ERR_ENCODING, CFGS_ERR_TOO_LARGE.
 */
CFGS_API CFGS_NODISCARD int cfgs_value_check(const cfgs_value *value);

/* ---- copies ---------------------------------------------------------------------------------------------------- */

/** A value with bytes of its own; from cfgs_value_copy() or a copying getter.  Free with cfgs_copy_free(). */
typedef struct cfgs_copy cfgs_copy;
CFGS_API CFGS_NODISCARD int cfgs_value_copy(const cfgs_value *value, cfgs_copy **out);
CFGS_API const cfgs_value *cfgs_copy_value(const cfgs_copy *copy);
CFGS_API void cfgs_copy_free(cfgs_copy *copy); /* NULL is fine */

/**
 * The elements of a list of strings (or of numbers) as one array, in one malloc()ed block: free(items).
 * An empty list gives *count 0 and a block that is still to be freed.
 * CFGS_OK; CFGS_ERR_KIND if the value is no list or an element is no string (number); CFGS_ERR_MEMORY; CFGS_ERR_CORRUPT.
 * Strings are NUL-terminated; one that holds a NUL byte gives CFGS_ERR_ENCODING (use the cursor).
 */
CFGS_API CFGS_NODISCARD int cfgs_value_string_list(const cfgs_value *value, char ***items, size_t *count);
CFGS_API CFGS_NODISCARD int cfgs_value_float_list(const cfgs_value *value, double **items, size_t *count);

/* ---- builder --------------------------------------------------------------------------------------------------- */

/**
 * Builds a value of any shape.  Errors stick: after the first failure every call is a no-op and
 * cfgs_builder_finish() returns it, so callers check once.  Struct entries come out sorted by key (bytewise), and of
 * two entries with one key the later one stays, so that equal structs have equal bytes.
 */
typedef struct cfgs_builder cfgs_builder;
CFGS_API CFGS_NODISCARD int cfgs_builder_new(cfgs_builder **out);
CFGS_API void cfgs_builder_free(cfgs_builder *builder); /* NULL is fine */
/** Forget what was built and any error; memory is kept for the next value. */
CFGS_API void cfgs_builder_reset(cfgs_builder *builder);

/** In a struct, the key of the entry that follows; CFGS_ERR_INVALID elsewhere, CFGS_ERR_ENCODING if not UTF-8. */
CFGS_API void cfgs_builder_key(cfgs_builder *builder, const char *key, size_t length);
CFGS_API void cfgs_builder_add(cfgs_builder *builder, const cfgs_value *value); /* copies; containers too */
CFGS_API void cfgs_builder_add_null(cfgs_builder *builder);
CFGS_API void cfgs_builder_add_bool(cfgs_builder *builder, bool boolean);
CFGS_API void cfgs_builder_add_int(cfgs_builder *builder, int64_t integer); /* nested: a double, if that is exact */
CFGS_API void cfgs_builder_add_double(cfgs_builder *builder, double number);
CFGS_API void cfgs_builder_add_string(cfgs_builder *builder, const char *text, size_t length);
CFGS_API void cfgs_builder_begin_list(cfgs_builder *builder);
CFGS_API void cfgs_builder_end_list(cfgs_builder *builder);
CFGS_API void cfgs_builder_begin_struct(cfgs_builder *builder);
CFGS_API void cfgs_builder_end_struct(cfgs_builder *builder);

/** Whether a list or struct got an int that a double rounds: who reads only google.protobuf.Value sees the rounding. */
CFGS_API bool cfgs_builder_inexact(const cfgs_builder *builder);

/**
 * The finished value; *out borrows the builder's memory until reset or free.
 * CFGS_OK, or the first error met; CFGS_ERR_INVALID if the value is missing, or a list or struct is still open.
 */
CFGS_API CFGS_NODISCARD int cfgs_builder_finish(cfgs_builder *builder, cfgs_value *out);

CFGS_END_DECLS

#endif
