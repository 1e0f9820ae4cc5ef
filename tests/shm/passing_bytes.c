/* passing_bytes.c: what encoded settings from elsewhere are taken for: malformed ones, odd ones, and everything that an
 * arena of ours can hold, whose bytes must arrive as they left.
 * SPDX-License-Identifier: Apache-2.0 */
#include "passing_support.h"
#include <math.h>

TestSuite(passing_bytes, .fini = names_clean);

/* ---- one setting in, one out ------------------------------------------------------------------------------------- */

/* A republisher with one reader; IDs follow by themselves. */
struct station {
    cfgs_publisher *publisher;
    cfgs_reader *reader;
    char *bytes;
    cfgs_encoded_update taken;
};
#define TAKEN_BYTES ((16u << 20) + 8192)

static struct station station_open(void)
{
    struct station station = {.publisher = publish_in_memory(64), .bytes = malloc(TAKEN_BYTES)};

    cr_assert_not_null(station.bytes);
    station.reader = reader_of(station.publisher);
    snapshot(station.publisher, 0, "first", 1, NULL, 0);
    return station;
}

static void station_close(struct station *station)
{
    cfgs_reader_close(station->reader);
    cfgs_publisher_close(station->publisher, false);
    free(station->bytes);
}

static void take(struct station *station, uint64_t sequence)
{
    cfgs_encoded_head head;

    ok(cfgs_encoded_look(station->reader, &head));
    ok(cfgs_encoded_take(station->reader, head.arena, sequence, station->bytes, TAKEN_BYTES, &station->taken));
}

/* Pass an update on; after success it is in station->bytes as it went. */
static int pass(struct station *station, const void *setting, size_t length)
{
    uint64_t next = cfgs_publisher_sequence(station->publisher) + 1;
    int err = cfgs_publisher_set_encoded(station->publisher, next, setting, length);

    cr_assert_eq(cfgs_publisher_sequence(station->publisher), err == CFGS_OK ? next : next - 1);
    if (err == CFGS_OK)
        take(station, next);
    else
        cr_assert(cfgs_publisher_error(station->publisher)->code == err);
    return err;
}

static bool taken_is(const struct station *station, const void *setting, size_t length)
{
    return station->taken.length == length && memcmp(station->bytes, setting, length) == 0;
}

/* ---- malformed --------------------------------------------------------------------------------------------------- */

struct bytes {
    const char *what, *data;
    size_t length;
    int result;
};
#define BYTES(what, text, result) {what, text, sizeof text - 1, result}
#define NUMBER "\x11\0\0\0\0\0\0\xf0\x3f" /* Value of 1.0 */

static const struct bytes bad_values[] = {
    BYTES("a number of seven bytes", "\x11\0\0\0\0\0\0\0", CFGS_ERR_CORRUPT),
    BYTES("numbers packed", "\x12\x08\0\0\0\0\0\0\xf0\x3f", CFGS_ERR_CORRUPT),
    BYTES("null as bytes", "\x0a\x00", CFGS_ERR_CORRUPT),
    BYTES("a bool as eight bytes", "\x21\1\0\0\0\0\0\0\0", CFGS_ERR_CORRUPT),
    BYTES("a string as a number", "\x18\x01", CFGS_ERR_CORRUPT),
    BYTES("a struct as a number", "\x28\x01", CFGS_ERR_CORRUPT),
    BYTES("a list as four bytes", "\x35\0\0\0\0", CFGS_ERR_CORRUPT),
    BYTES("a group begins", "\x3b\x08\x00\x3c", CFGS_ERR_CORRUPT),
    BYTES("a group ends", "\x3c", CFGS_ERR_CORRUPT),
    BYTES("wire type 6", "\x3e\x00", CFGS_ERR_CORRUPT),
    BYTES("wire type 7", "\x3f\x00", CFGS_ERR_CORRUPT),
    BYTES("field 0", "\x02\x00", CFGS_ERR_CORRUPT),
    BYTES("a field number of 30 bits", "\x80\x80\x80\x80\x10\x00", CFGS_ERR_CORRUPT),
    BYTES("a tag cut off", "\xff", CFGS_ERR_CORRUPT),
    BYTES("a string longer than the message", "\x1a\x05" "ab", CFGS_ERR_CORRUPT),
    BYTES("a length cut off", "\x1a\xff", CFGS_ERR_CORRUPT),
    BYTES("a length of 2^63", "\x1a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", CFGS_ERR_CORRUPT),
    BYTES("a varint beyond 64 bits", "\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", CFGS_ERR_CORRUPT),
    BYTES("a varint of eleven bytes", "\x20\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", CFGS_ERR_CORRUPT),
    BYTES("an unknown field cut off", "\x3d\0\0\0", CFGS_ERR_CORRUPT),
    BYTES("a list of varints", "\x32\x02\x08\x01", CFGS_ERR_CORRUPT),
    BYTES("a list whose element is cut off", "\x32\x02\x0a\x05", CFGS_ERR_CORRUPT),
    BYTES("a list with a malformed element", "\x32\x03\x0a\x01\x3c", CFGS_ERR_CORRUPT),
    BYTES("a struct of varints", "\x2a\x02\x08\x01", CFGS_ERR_CORRUPT),
    BYTES("an entry whose key is a varint", "\x2a\x04\x0a\x02\x08\x01", CFGS_ERR_CORRUPT),
    BYTES("an entry whose value is a varint", "\x2a\x04\x0a\x02\x10\x01", CFGS_ERR_CORRUPT),
    BYTES("an entry cut off", "\x2a\x03\x0a\x01\x0a", CFGS_ERR_CORRUPT),
    BYTES("an entry with a malformed value", "\x2a\x05\x0a\x03\x12\x01\x3c", CFGS_ERR_CORRUPT),
    BYTES("a string that is no UTF-8", "\x1a\x01\xff", CFGS_ERR_ENCODING),
    BYTES("a surrogate in a string", "\x1a\x03\xed\xa0\x80", CFGS_ERR_ENCODING),
    BYTES("a string in a list that is no UTF-8", "\x32\x05\x0a\x03\x1a\x01\xff", CFGS_ERR_ENCODING),
    BYTES("a key in a struct that is no UTF-8", "\x2a\x05\x0a\x03\x0a\x01\xff", CFGS_ERR_ENCODING),
};

static const struct bytes bad_settings[] = {
    BYTES("a source as a number", "\x08\x01\x12\x01" "a", CFGS_ERR_CORRUPT),
    BYTES("a key as a number", "\x10\x01", CFGS_ERR_CORRUPT),
    BYTES("a value as a number", "\x12\x01" "a\x18\x01", CFGS_ERR_CORRUPT),
    BYTES("an unset source as a number", "\x12\x01" "a\x20\x01", CFGS_ERR_CORRUPT),
    BYTES("a group", "\x12\x01" "a\x2b\x2c", CFGS_ERR_CORRUPT),
    BYTES("garbage behind", "\x12\x01" "a\xff", CFGS_ERR_CORRUPT),
    BYTES("nothing", "", CFGS_ERR_INVALID),
    BYTES("no key", "\x0a\x04" "file", CFGS_ERR_INVALID),
    BYTES("an empty key", "\x12\x00\x1a\x02\x08\x00", CFGS_ERR_INVALID),
    BYTES("a key with NUL", "\x12\x03" "a\0b\x1a\x02\x08\x00", CFGS_ERR_ENCODING),
    BYTES("a key that is no UTF-8", "\x12\x01\xff\x1a\x02\x08\x00", CFGS_ERR_ENCODING),
    BYTES("a source that is no UTF-8", "\x0a\x01\xff\x12\x01" "a\x1a\x02\x08\x00", CFGS_ERR_ENCODING),
    BYTES("an unset source that is no UTF-8", "\x12\x01" "a\x22\x01\xff", CFGS_ERR_ENCODING),
};

/* Neither as an update nor in a snapshot; and the snapshot goes on as if it had not been there. */
static void check_refused(struct station *station, const char *what, const void *setting, size_t length, int result)
{
    cfgs_batch *batch;

    cr_assert_eq(pass(station, setting, length), result, "%s: %s", what,
                 cfgs_publisher_error(station->publisher)->message);
    ok(cfgs_batch_begin(station->publisher, &batch));
    cfgs_batch_snapshot(batch, cfgs_publisher_sequence(station->publisher) + 1);
    stage_int(batch, "first", 1);
    int staged = cfgs_batch_set_encoded(batch, setting, length);
    /* What a snapshot passes over. */
    bool unset_source = strncmp(what, "an unset source that", 20) == 0;
    cr_assert_eq(staged, unset_source ? CFGS_OK : result, "%s: %s", what, cfgs_strerror(staged));
    ok(cfgs_batch_commit(batch, NULL));
    cr_assert_eq(status_of(station->reader).settings, unset_source ? 2u : 1u, "%s", what);
}

Test(passing_bytes, malformed_settings_are_refused_and_change_nothing)
{
    struct station station = station_open();

    for (size_t i = 0; i < sizeof bad_values / sizeof *bad_values; i++) {
        struct message value = {0}, setting = {0};
        put_raw(&value, bad_values[i].data, bad_values[i].length);
        put_setting(&setting, "file", "k", &value, NULL);
        check_refused(&station, bad_values[i].what, setting.bytes, setting.length, bad_values[i].result);
        message_free(&value);
        message_free(&setting);
    }
    for (size_t i = 0; i < sizeof bad_settings / sizeof *bad_settings; i++)
        check_refused(&station, bad_settings[i].what, bad_settings[i].data, bad_settings[i].length,
                      bad_settings[i].result);
    station_close(&station);
}

Test(passing_bytes, sizes_are_limited)
{
    struct station station = station_open();
    char *text = calloc(1, (16u << 20) + 2);
    struct message setting = {0}, value = {0};

    cr_assert_not_null(text);
    memset(text, 'x', (16u << 20) + 1);
    put_field(&value, 3, text, (16u << 20) + 1);
    put_setting(&setting, "file", "k", &value, NULL);
    fails(CFGS_ERR_TOO_LARGE, pass(&station, setting.bytes, setting.length));
    text[1025] = '\0';
    value.length = setting.length = 0;
    put_number(&value, 1);
    put_setting(&setting, "file", text, &value, NULL);
    fails(CFGS_ERR_TOO_LARGE, pass(&station, setting.bytes, setting.length));
    text[256] = '\0';
    setting.length = 0;
    put_setting(&setting, text, "k", &value, NULL);
    fails(CFGS_ERR_TOO_LARGE, pass(&station, setting.bytes, setting.length));
    setting.length = 0;
    put_setting(&setting, "file", "k", &value, text);
    fails(CFGS_ERR_TOO_LARGE, pass(&station, setting.bytes, setting.length));
    message_free(&setting);
    message_free(&value);
    free(text);
    station_close(&station);
}

/* Lists (or structs) in one another, built from the inside. */
static struct message nested(unsigned depth, bool structs)
{
    struct message value = {0};

    put_byte(&value, 0x08), put_byte(&value, 0);
    for (unsigned i = 0; i < depth; i++) {
        struct message entry = {0}, container = {0}, outer = {0};
        if (structs) {
            put_text(&entry, 1, "k");
            put_field(&entry, 2, value.bytes, value.length);
        }
        put_field(&container, 1, structs ? entry.bytes : value.bytes, structs ? entry.length : value.length);
        put_field(&outer, structs ? 5 : 6, container.bytes, container.length);
        message_free(&value);
        message_free(&entry);
        message_free(&container);
        value = outer;
    }
    return value;
}

Test(passing_bytes, nesting_is_limited)
{
    struct station station = station_open();

    for (unsigned i = 0; i < 8; i++) {
        static const unsigned depths[] = {1, 128, 129, 5000};
        struct message value = nested(depths[i / 2], i % 2), setting = {0};
        put_setting(&setting, "file", "k", &value, NULL);
        int err = pass(&station, setting.bytes, setting.length);
        cr_assert_eq(err, depths[i / 2] <= 128 ? CFGS_OK : CFGS_ERR_TOO_LARGE, "depth %u: %d", depths[i / 2], err);
        cr_assert(err != CFGS_OK || taken_is(&station, setting.bytes, setting.length));
        message_free(&value);
        message_free(&setting);
    }
    station_close(&station);
}

/* ---- odd, but protobuf ------------------------------------------------------------------------------------------- */

#define BIG "\x11\0\0\0\0\0\0\x40\x43"                      /* 2^53 */
#define BIG_1 "\xc0\x3e\x81\x80\x80\x80\x80\x80\x80\x10"    /* 2^53 + 1 */

static const struct {
    const char *what;
    const char *in;
    size_t in_length;
    const char *out;
    size_t out_length;
} odd_values[] = {
#define ODD(what, in, out) {what, in, sizeof in - 1, out, sizeof out - 1}
    ODD("no field is null", "", "\x08\x00"),
    ODD("any null", "\x08\x05", "\x08\x00"),
    ODD("any true", "\x20\x07", "\x20\x01"),
    ODD("a longer varint than needed", "\x20\x80\x80\x00", "\x20\x00"),
    ODD("a longer tag than needed", "\xa0\x80\x00\x01", "\x20\x01"),
    ODD("a longer length than needed", "\x1a\x81\x00" "a", "\x1a\x01" "a"),
    ODD("the last of several", "\x1a\x01" "a\x20\x01", "\x20\x01"),
    ODD("the last of several lists", "\x32\x04\x0a\x02\x08\x00\x32\x00", "\x32\x00"),
    ODD("unknown fields", "\x38\x01\x20\x01\x3d\1\2\3\4\xa2\x06\x02" "zz\xa9\x06\1\2\3\4\5\6\7\x08", "\x20\x01"),
    ODD("our integer without a number", "\xc0\x3e\x05\x20\x01", "\x20\x01"),
    ODD("an integer in a list beside its rounding", "\x32\x15\x0a\x13" BIG BIG_1, "\x32\x15\x0a\x13" BIG BIG_1),
    ODD("an integer before its rounding", "\x32\x15\x0a\x13" BIG_1 BIG, "\x32\x15\x0a\x13" BIG BIG_1),
    ODD("an integer beside another number", "\x32\x15\x0a\x13" NUMBER BIG_1, "\x32\x0b\x0a\x09" NUMBER),
    ODD("an integer that the number holds", "\x32\x0e\x0a\x0c" NUMBER "\xc0\x3e\x01", "\x32\x0b\x0a\x09" NUMBER),
    ODD("entries out of order", "\x2a\x12\x0a\x07\x0a\x01" "b\x12\x02\x20\x01\x0a\x07\x0a\x01" "a\x12\x02\x20\x00",
        "\x2a\x12\x0a\x07\x0a\x01" "a\x12\x02\x20\x00\x0a\x07\x0a\x01" "b\x12\x02\x20\x01"),
    ODD("the last entry of a key", "\x2a\x12\x0a\x07\x0a\x01" "a\x12\x02\x20\x01\x0a\x07\x0a\x01" "a\x12\x02\x20\x00",
        "\x2a\x09\x0a\x07\x0a\x01" "a\x12\x02\x20\x00"),
    ODD("a value before its key", "\x2a\x09\x0a\x07\x12\x02\x20\x00\x0a\x01" "a",
        "\x2a\x09\x0a\x07\x0a\x01" "a\x12\x02\x20\x00"),
    ODD("an entry without a value", "\x2a\x05\x0a\x03\x0a\x01" "a", "\x2a\x09\x0a\x07\x0a\x01" "a\x12\x02\x08\x00"),
    ODD("an entry of nothing", "\x2a\x02\x0a\x00", "\x2a\x08\x0a\x06\x0a\x00\x12\x02\x08\x00"),
    ODD("unknown fields in an entry and a list", "\x32\x08\x10\x01\x0a\x04\x38\x01\x20\x01", "\x32\x04\x0a\x02\x20\x01"),
#undef ODD
};

Test(passing_bytes, what_protobuf_allows_is_taken_and_made_canonical)
{
    struct station station = station_open();

    for (size_t i = 0; i < sizeof odd_values / sizeof *odd_values; i++) {
        struct message in = {0}, out = {0}, value = {0};
        put_raw(&value, odd_values[i].in, odd_values[i].in_length);
        put_setting(&in, "file", "k", &value, NULL);
        value.length = 0;
        put_raw(&value, odd_values[i].out, odd_values[i].out_length);
        put_setting(&out, "file", "k", &value, NULL);
        int err = pass(&station, in.bytes, in.length);
        cr_assert_eq(err, CFGS_OK, "%s: %s", odd_values[i].what, cfgs_strerror(err));
        cr_assert(taken_is(&station, out.bytes, out.length), "%s", odd_values[i].what);
        message_free(&in);
        message_free(&out);
        message_free(&value);
    }
    station_close(&station);
}

Test(passing_bytes, fields_of_a_setting_come_in_any_order_and_the_last_counts)
{
    static const char in[] = "\x22\x03" "cli\x1a\x02\x20\x01\x12\x01" "x\x0a\x03" "cli\x5a\x01?\x12\x01" "k\x0a\x04" "file";
    static const char out[] = "\x0a\x04" "file\x12\x01" "k\x1a\x02\x20\x01\x22\x03" "cli";
    struct station station = station_open();

    ok(pass(&station, in, sizeof in - 1));
    cr_assert(taken_is(&station, out, sizeof out - 1));
    station_close(&station);
}

/* Whatever comes is refused with a word, or taken in a form that stays as it is from then on. */
static void check_stable(struct station *station, const void *setting, size_t length)
{
    int err = pass(station, setting, length);

    if (err != CFGS_OK) {
        cr_assert(err == CFGS_ERR_CORRUPT || err == CFGS_ERR_INVALID || err == CFGS_ERR_ENCODING ||
                  err == CFGS_ERR_TOO_LARGE, "%s", cfgs_strerror(err));
        return;
    }
    size_t taken = station->taken.length;
    char *copy = malloc(taken + 1);
    cr_assert_not_null(copy);
    memcpy(copy, station->bytes, taken);
    ok(pass(station, copy, taken));
    cr_assert(taken_is(station, copy, taken));
    free(copy);
}

/* A setting with something of everything. */
static struct message rich_setting(void)
{
    static const char value[] = "\x2a\x4a\x0a\x16\x0a\x03" "a.b\x12\x0f\x32\x0d"
                                "\x0a\x02\x08\x00\x0a\x02\x20\x01\x0a\x03\x1a\x01z"
                                "\x0a\x13\x0a\x01" "q\x12\x0e\x32\x0c\x0a\x05\x1a\x03x\0y\x0a\x03\x1a\x01\""
                                "\x0a\x1b\x0a\x02\xc3\xa9\x12\x15\x32\x13\x0a\x09" NUMBER "\x0a\x02\x2a\x00\x0a\x02\x32\x00";
    struct message setting = {0}, message = {0};

    put_raw(&message, value, sizeof value - 1);
    put_setting(&setting, "my-source", "a.key", &message, "file");
    message_free(&message);
    return setting;
}

Test(passing_bytes, cut_and_mutated_settings_do_no_harm)
{
    struct station station = station_open();
    struct message setting = rich_setting();
    char *mutant = malloc(setting.length);
    uint64_t random = 42;

    cr_assert_not_null(mutant);
    ok(pass(&station, setting.bytes, setting.length));
    cr_assert(taken_is(&station, setting.bytes, setting.length), "the seed is canonical");
    for (size_t length = 0; length < setting.length; length++) {
        char *exact = malloc(length + 1); /* so that a sanitizer sees a read behind the end */
        cr_assert_not_null(exact);
        memcpy(exact + 1, setting.bytes, length);
        check_stable(&station, exact + 1, length);
        free(exact);
    }
    for (int i = 0; i < 20000; i++) {
        memcpy(mutant, setting.bytes, setting.length);
        for (unsigned n = 1 + (unsigned)(random_next(&random) % 4); n > 0; n--)
            mutant[random_next(&random) % setting.length] = (char)random_next(&random);
        check_stable(&station, mutant, setting.length);
    }
    free(mutant);
    message_free(&setting);
    station_close(&station);
}

/* ---- numbers, sources -------------------------------------------------------------------------------------------- */

static cfgs_setting pass_number(struct station *station, double number)
{
    struct message value = {0}, setting = {0};

    put_number(&value, number);
    put_setting(&setting, "file", "k", &value, NULL);
    ok(pass(station, setting.bytes, setting.length));
    cr_assert(taken_is(station, setting.bytes, setting.length), "%g", number);
    message_free(&value);
    message_free(&setting);
    return setting_in(station->reader, "k");
}

Test(passing_bytes, whole_numbers_are_ints_and_the_others_doubles)
{
    struct station station = station_open();
    static const double whole[] = {0, 1, -1, 5001, 0x1p53, -0x1p53}, not[] = {-0.0, 0.5, 0x1p53 + 2, 1e300, 0x1p-1074};

    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        cfgs_setting setting = pass_number(&station, whole[i]);
        cr_assert(setting.value.kind == CFGS_KIND_INT && setting.value.as.integer == (int64_t)whole[i], "%g", whole[i]);
    }
    for (size_t i = 0; i < sizeof not / sizeof *not; i++) {
        cfgs_setting setting = pass_number(&station, not[i]);
        cr_assert(setting.value.kind == CFGS_KIND_DOUBLE && memcmp(&setting.value.as.number, &not[i], 8) == 0, "%g", not[i]);
        cr_assert_eq(setting.flags, 0);
    }
    station_close(&station);
}

/* As the daemon marks them, so that nobody streams them on as JSON has no form for them. */
Test(passing_bytes, nan_and_infinities_are_for_readers_of_this_host)
{
    struct station station = station_open();
    struct message number = {0}, value = {0}, setting = {0};

    cr_assert_eq(pass_number(&station, (double)INFINITY).flags, CFGS_SETTING_LOCAL);
    cr_assert_eq(pass_number(&station, (double)NAN).flags, CFGS_SETTING_LOCAL);
    cr_assert_eq(pass_number(&station, 1).flags, 0);
    put_number(&number, -(double)INFINITY);
    put_varint(&value, 6 << 3 | 2), put_varint(&value, number.length + 2);
    put_field(&value, 1, number.bytes, number.length);
    put_setting(&setting, "file", "k", &value, NULL);
    ok(pass(&station, setting.bytes, setting.length));
    cr_assert_eq(setting_in(station.reader, "k").flags, CFGS_SETTING_LOCAL);
    message_free(&number);
    message_free(&value);
    message_free(&setting);
    station_close(&station);
}

/* {"a": NaN, "a": 1}: the last entry counts, and NaN is not there any more. */
Test(passing_bytes, a_nan_that_another_entry_outdoes_marks_nothing)
{
    struct station station = station_open();
    struct message nan = {0}, one = {0}, first = {0}, second = {0}, fields = {0}, value = {0}, setting = {0};

    put_number(&nan, (double)NAN);
    put_number(&one, 1);
    put_text(&first, 1, "a"), put_field(&first, 2, nan.bytes, nan.length);
    put_text(&second, 1, "a"), put_field(&second, 2, one.bytes, one.length);
    put_field(&fields, 1, first.bytes, first.length), put_field(&fields, 1, second.bytes, second.length);
    put_field(&value, 5, fields.bytes, fields.length);
    put_setting(&setting, "file", "k", &value, NULL);
    ok(pass(&station, setting.bytes, setting.length));
    cr_assert_eq(setting_in(station.reader, "k").flags, 0);
    message_free(&nan), message_free(&one), message_free(&first), message_free(&second);
    message_free(&fields), message_free(&value), message_free(&setting);
    station_close(&station);
}

Test(passing_bytes, sources_that_are_not_ours_stay_what_they_are)
{
    static const char named[] = "\x0a\x05" "theirs\x12\x01" "k\x1a\x02\x20\x01\x22\x04" "them";
    static const char nameless[] = "\x12\x01" "k\x1a\x02\x20\x01";
    struct station station = station_open();
    char setting[sizeof named];

    memcpy(setting, named, sizeof named);
    setting[1] = 6;
    ok(pass(&station, setting, sizeof setting - 1));
    cr_assert(taken_is(&station, setting, sizeof setting - 1));
    cfgs_setting got = setting_in(station.reader, "k");
    cr_assert(got.source == CFGS_SOURCE_VERBATIM && bytes_are(got.source_name, "theirs"));
    (void)next_snapshot(station.reader, CFGS_SNAPSHOT_INITIAL);
    ok(pass(&station, setting, sizeof setting - 1));
    cfgs_event event = next_update(station.reader, "k");
    cr_assert(event.unset_source == CFGS_SOURCE_VERBATIM && bytes_are(event.unset_source_name, "them"));
    ok(pass(&station, nameless, sizeof nameless - 1));
    cr_assert(taken_is(&station, nameless, sizeof nameless - 1));
    got = setting_in(station.reader, "k");
    cr_assert(got.source == CFGS_SOURCE_NONE && got.source_name.length == 0 && got.value.as.boolean);
    station_close(&station);
}

/* ---- everything of ours ------------------------------------------------------------------------------------------ */

/* {"a.b": {"quote\"": [2^53+1, -0.0, null, "NUL\0", {}, []], "é": 2.5}, "": "empty key"} */
static cfgs_value hard_struct(cfgs_builder *builder)
{
    cfgs_value value;

    cfgs_builder_begin_struct(builder);
    cfgs_builder_key(builder, "a.b", 3);
    cfgs_builder_begin_struct(builder);
    cfgs_builder_key(builder, "quote\"", 6);
    cfgs_builder_begin_list(builder);
    cfgs_builder_add_int(builder, (INT64_C(1) << 53) + 1);
    cfgs_builder_add_int(builder, INT64_MIN + 1);
    cfgs_builder_add_int(builder, INT64_MAX);
    cfgs_builder_add_int(builder, 7);
    cfgs_builder_add_double(builder, -0.0);
    cfgs_builder_add_null(builder);
    cfgs_builder_add_string(builder, "NUL\0", 4);
    cfgs_builder_begin_struct(builder), cfgs_builder_end_struct(builder);
    cfgs_builder_begin_list(builder), cfgs_builder_end_list(builder);
    cfgs_builder_end_list(builder);
    cfgs_builder_key(builder, "\xc3\xa9", 2);
    cfgs_builder_add_double(builder, 2.5);
    cfgs_builder_end_struct(builder);
    cfgs_builder_key(builder, "", 0);
    cfgs_builder_add_string(builder, "empty key", 9);
    cfgs_builder_end_struct(builder);
    ok(cfgs_builder_finish(builder, &value));
    return value;
}

static void set_everything(cfgs_publisher *p)
{
    char *large = malloc(16u << 20), long_key[1025] = {0};
    cfgs_builder *builder;
    cfgs_setting theirs = setting_of("theirs", cfgs_value_bool(true), CFGS_SOURCE_VERBATIM);

    ok(cfgs_builder_new(&builder));
    cr_assert_not_null(large);
    memset(large, 'x', 16u << 20);
    memset(long_key, 'k', 1024);
    set_value(p, "hard", hard_struct(builder), CFGS_SOURCE_FILE);
    set_value(p, "null", cfgs_value_null(), CFGS_SOURCE_DEFAULT);
    set_value(p, "false", cfgs_value_bool(false), CFGS_SOURCE_CLI);
    set_value(p, "true", cfgs_value_bool(true), CFGS_SOURCE_UNKNOWN);
    set_value(p, "text.empty", text_value(""), CFGS_SOURCE_FILE);
    set_value(p, "text.nul", cfgs_value_string("a\0b", 3), CFGS_SOURCE_FILE);
    set_value(p, "text.\xe2\x82\xac", text_value("\xf0\x9f\x99\x82"), CFGS_SOURCE_SECRET);
    set_value(p, "list.empty", (cfgs_value){.kind = CFGS_KIND_LIST, .as.bytes = {"", 0}}, CFGS_SOURCE_FILE);
    set_value(p, "map.empty", (cfgs_value){.kind = CFGS_KIND_STRUCT, .as.bytes = {"", 0}}, CFGS_SOURCE_FILE);
    set_value(p, "int.0", cfgs_value_int(0), CFGS_SOURCE_FILE);
    set_value(p, "int.edge", cfgs_value_int((INT64_C(1) << 53) + 1), CFGS_SOURCE_FILE);
    set_value(p, "int.min", cfgs_value_int(INT64_MIN), CFGS_SOURCE_FILE);
    set_value(p, "double.-0", cfgs_value_double(-0.0), CFGS_SOURCE_FILE);
    set_value(p, "double.whole", cfgs_value_double(3), CFGS_SOURCE_FILE);
    set_value(p, "double.small", cfgs_value_double(0x1p-1074), CFGS_SOURCE_FILE);
    set_value(p, "double.inf", cfgs_value_double((double)INFINITY), CFGS_SOURCE_FILE);
    set_value(p, long_key, cfgs_value_int(1), CFGS_SOURCE_REMOTE_CONFIG);
    set_value(p, "large", cfgs_value_string(large, 16u << 20), CFGS_SOURCE_FILE);
    theirs.source_name = (cfgs_bytes){"their source", 12};
    ok(cfgs_publisher_set(p, &theirs, CFGS_SOURCE_NONE, NULL));
    theirs.value = cfgs_value_bool(false);
    ok(cfgs_publisher_set(p, &theirs, CFGS_SOURCE_AGENT_RUNTIME, NULL));
    cr_assert(remove_key(p, "true"));
    cfgs_builder_free(builder);
    free(large);
}

/* The state of one arena as a snapshot for another. */
static void carry_state(cfgs_reader *from, cfgs_publisher *to)
{
    cfgs_iterator iterator = {0};
    cfgs_bytes setting;
    cfgs_batch *batch;
    cfgs_view view;
    unsigned flags;
    int more;

    ok(cfgs_view_begin(from, &view));
    ok(cfgs_batch_begin(to, &batch));
    cfgs_batch_snapshot(batch, cfgs_view_sequence(&view));
    while ((more = cfgs_view_next_encoded(&view, &iterator, &setting, &flags)) == 1)
        ok(cfgs_batch_set_encoded(batch, setting.data, setting.length));
    cr_assert_eq(more, 0);
    ok(cfgs_batch_commit(batch, NULL));
}

static bool has_encoded(cfgs_reader *reader, cfgs_bytes wanted)
{
    cfgs_iterator iterator = {0};
    cfgs_bytes setting;
    cfgs_view view;
    unsigned flags;

    ok(cfgs_view_begin(reader, &view));
    while (cfgs_view_next_encoded(&view, &iterator, &setting, &flags) == 1)
        if (setting.length == wanted.length && memcmp(setting.data, wanted.data, wanted.length) == 0)
            return true;
    return false;
}

static void check_same_state(cfgs_reader *near, cfgs_reader *far)
{
    cfgs_iterator iterator = {0};
    cfgs_bytes setting;
    cfgs_view view;
    unsigned flags;
    size_t count = 0;

    ok(cfgs_view_begin(near, &view));
    for (; cfgs_view_next_encoded(&view, &iterator, &setting, &flags) == 1; count++)
        cr_assert(has_encoded(far, setting), "%.*s", (int)(setting.length < 60 ? setting.length : 60), setting.data);
    cr_assert(count > 0 && status_of(far).settings == count && status_of(far).sequence == status_of(near).sequence);
}

Test(passing_bytes, all_that_an_arena_holds_arrives_byte_for_byte)
{
    cfgs_publisher *p = publish_in_memory(64);
    cfgs_reader *near = reader_of(p);
    struct station far = station_open();
    cfgs_encoded_head head;
    cfgs_encoded_update update;
    char *bytes = malloc(TAKEN_BYTES);

    cr_assert_not_null(bytes);
    first_commit(p);
    set_everything(p);
    ok(cfgs_encoded_look(near, &head));
    cr_assert_eq(head.oldest, 1);
    for (uint64_t id = 1; id <= head.sequence; id++) {
        ok(cfgs_encoded_take(near, head.arena, id, bytes, TAKEN_BYTES, &update));
        ok(pass(&far, bytes, update.length));
        cr_assert(taken_is(&far, bytes, update.length), "update %llu", (unsigned long long)id);
        cr_assert(far.taken.removed == update.removed && far.taken.value_at == update.value_at &&
                  far.taken.value_length == update.value_length);
    }
    cr_assert_eq(cfgs_publisher_sequence(far.publisher), head.sequence);
    carry_state(near, far.publisher); /* without "first": a state of its own, so a new arena */
    check_same_state(near, far.reader);
    uint8_t before[16], after[16];
    cfgs_publisher_instance_id(far.publisher, before);
    carry_state(near, far.publisher);
    cfgs_publisher_instance_id(far.publisher, after);
    cr_assert_arr_eq(before, after, 16, "the same state again is nothing");
    free(bytes);
    cfgs_reader_close(near);
    cfgs_publisher_close(p, false);
    station_close(&far);
}
