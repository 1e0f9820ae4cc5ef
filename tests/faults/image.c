/*
 * image.c: whole arenas with damaged bytes, and arenas whose header changes while they are read (shm-pitfalls 22, 23).
 *
 * Only documented results, no crash, no hang, no touch outside the file: readers map more than the file holds, so a
 * step beyond its end is a SIGBUS.  Same seed in every run.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <tests/shm/support.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>

TestSuite(image, .fini = names_clean, .timeout = 280);

#define SETTINGS 50
#define ROUNDS 20000
#define ROUND_LIMIT_S 10

static char *image;
static uint64_t image_bytes;
static struct arena_header sound; /* where things are, whatever the image's own header says meanwhile */
static volatile int round_number;

/* A round that hangs is a failure that names itself. */
static void on_alarm(int number)
{
    char text[64];
    int length = snprintf(text, sizeof text, "image: round %d hangs\n", round_number);
    (void)number;
    (void)!write(2, text, (size_t)length);
    names_clean();
    abort();
}

static cfgs_value nested(cfgs_builder *b)
{
    cfgs_value value;
    cfgs_builder_reset(b);
    cfgs_builder_begin_list(b);
    cfgs_builder_add_string(b, "one", 3);
    cfgs_builder_begin_struct(b);
    cfgs_builder_key(b, "k", 1);
    cfgs_builder_add_double(b, 0.5);
    cfgs_builder_end_struct(b);
    cfgs_builder_end_list(b);
    ok(cfgs_builder_finish(b, &value));
    return value;
}

/* 50 settings of every kind, some updated, some removed, two of them left to the ring. */
static void make_image(const char *instance, bool bulk_last)
{
    struct stat st;
    char key[32];
    cfgs_builder *b;
    cfgs_publisher *p = publish_with(instance, (cfgs_publisher_options){.ring_slots = 32, .max_size = 1u << 20});

    ok(cfgs_builder_new(&b));
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < SETTINGS; i++) {
            snprintf(key, sizeof key, "section%d.key%d", i % 3, i);
            const cfgs_value values[] = {cfgs_value_int(i * 1000 + pass), text_value("10kb of text"), nested(b),
                                         cfgs_value_bool(pass == 0),      cfgs_value_double(i + 0.5),
                                         cfgs_value_null()};
            set_value(p, key, values[i % 6], i % 2 ? CFGS_SOURCE_FILE : CFGS_SOURCE_CLI);
        }
    remove_key(p, "section0.key0");
    remove_key(p, "section1.key1");
    set_text(p, "section2.key2", "back");
    if (bulk_last)
        load_ints(p, "section0.bulk", 40, false); /* more than the ring: every slot is empty */
    cfgs_builder_free(b);
    cfgs_publisher_close(p, false);
    int fd = open(arena_path(instance), O_RDWR | O_CLOEXEC);
    cr_assert(fd >= 0 && fstat(fd, &st) == 0);
    image_bytes = (uint64_t)st.st_size;
    image = mmap(NULL, image_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    cr_assert_neq(image, MAP_FAILED);
    memcpy(&sound, image, sizeof sound);
    close(fd);
}

/* ---- damage ------------------------------------------------------------------------------------------------------ */

struct patch {
    uint64_t at, old; /* a word */
};

static uint64_t word_at(uint64_t at)
{
    uint64_t word;
    memcpy(&word, image + at, 8);
    return word;
}

/* A place worth damaging: header, a used cell, a record, a slot; or any. */
static uint64_t choose_place(uint64_t *seed)
{
    const struct arena_header *header = &sound;
    const struct bank_words *bank = &header->bank[header->current & 1];
    uint64_t random = random_next(seed), pick = random % 100, cell;

    random >>= 8;
    if (pick < 30)
        return random % (sizeof *header / 8) * 8;
    if (pick < 40)
        return header->ring_at + random % (header->ring_slots * 4) * 8;
    if (pick < 45)
        return random % (image_bytes / 8) * 8;
    for (uint64_t tries = 0; tries < bank->index_capacity; tries++) {
        uint64_t at = bank->index_at + (random + tries) % bank->index_capacity * 8;
        if ((cell = word_at(at)) == 0)
            continue;
        uint64_t record = (cell & CELL_OFFSET_MASK) * 8 + random_next(seed) % 16 * 8;
        return pick < 65 || record > image_bytes - 8 ? at : record;
    }
    return 0;
}

static uint64_t damage_word(uint64_t *seed, uint64_t word)
{
    static const uint64_t special[] = {0, 1, 2, 7, 8, UINT64_MAX, UINT64_MAX - 7, UINT64_C(1) << 63, INT64_MAX, 0xFFFF,
                                       UINT32_MAX, UINT64_C(1) << 40, 65536};
    uint64_t random = random_next(seed);
    switch (random % 5) {
    case 0:
        return word ^ UINT64_C(1) << (random >> 8) % 64;
    case 1:
        return special[(random >> 8) % (sizeof special / sizeof special[0])];
    case 2:
        return word + (random >> 8) % 64 - 32;
    case 3:
        return word ^ (random >> 8 & 0xFF) << (random >> 16) % 8 * 8;
    default:
        return (random >> 8) % 2 ? image_bytes - (random >> 9) % 256 : random_next(seed);
    }
}

static size_t apply(uint64_t *seed, struct patch *patches)
{
    size_t count = random_next(seed) % 3 + 1;
    for (size_t i = 0; i < count; i++) {
        uint64_t at = choose_place(seed);
        uint64_t old = word_at(at), new = damage_word(seed, old);
        patches[i] = (struct patch){at, old};
        memcpy(image + at, &new, 8);
    }
    return count;
}

static void revert(const struct patch *patches, size_t count)
{
    while (count-- > 0)
        memcpy(image + patches[count].at, &patches[count].old, 8);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static bool is_one_of(int err, const int *allowed)
{
    for (; *allowed != 1; allowed++)
        if (err == *allowed)
            return true;
    return false;
}

#define EXPECT(err, ...)                                                                                               \
    do {                                                                                                               \
        const int allowed_[] = {__VA_ARGS__, 1};                                                                       \
        int err_ = (err);                                                                                              \
        cr_assert(is_one_of(err_, allowed_), "round %d: %s gave %d", round_number, #err, err_);                        \
    } while (0)

/* The codes that get.h documents for every point read. */
#define POINT CFGS_OK, CFGS_ERR_NOT_FOUND, CFGS_ERR_KIND, CFGS_ERR_NOT_READY, CFGS_ERR_BUSY, CFGS_ERR_CORRUPT

static void read_key(cfgs_reader *r, const char *key)
{
    bool b;
    int64_t i;
    uint64_t u;
    double d;
    char text[64];
    char **strings;
    double *numbers;
    size_t count;
    cfgs_copy *copy;
    int source, err;

    EXPECT(cfgs_get_bool(r, key, &b), POINT);
    EXPECT(cfgs_get_int(r, key, &i), POINT, CFGS_ERR_RANGE);
    EXPECT(cfgs_get_double(r, key, &d), POINT);
    EXPECT(cfgs_get_duration(r, key, &i), POINT, CFGS_ERR_RANGE, CFGS_ERR_SYNTAX);
    EXPECT(cfgs_get_size(r, key, &u), POINT, CFGS_ERR_RANGE, CFGS_ERR_SYNTAX);
    EXPECT(cfgs_get_string(r, key, text, sizeof text, &count), POINT, CFGS_ERR_BUFFER);
    EXPECT(err = cfgs_get_string_list(r, key, &strings, &count), POINT, CFGS_ERR_ENCODING);
    if (err == CFGS_OK)
        free(strings);
    EXPECT(err = cfgs_get_float_list(r, key, &numbers, &count), POINT);
    if (err == CFGS_OK)
        free(numbers);
    EXPECT(err = cfgs_get_value(r, key, &copy), POINT);
    if (err == CFGS_OK) {
        (void)!cfgs_value_check(cfgs_copy_value(copy));
        cfgs_copy_free(copy);
    }
    EXPECT(err = cfgs_get_map_list(r, key, &copy), POINT);
    if (err == CFGS_OK)
        cfgs_copy_free(copy);
    EXPECT(cfgs_get_source(r, key, &source), POINT);
    EXPECT(cfgs_get_sequence(r, key, &u), POINT);
}

static void read_view(cfgs_view *view)
{
    cfgs_setting setting;
    int rounds = 0;

    do {
        cfgs_iterator iterator = {0};
        int more, steps = 0;
        while ((more = cfgs_view_next(view, &iterator, "s", 1, &setting)) == 1) {
            unsigned char sum = 0;
            for (size_t i = 0; i < setting.key.length; i++)
                sum = (unsigned char)(sum + setting.key.data[i]);
            for (size_t i = 0; i < setting.source_name.length; i++)
                sum = (unsigned char)(sum + setting.source_name.data[i]);
            volatile unsigned char used = sum;
            (void)used;
            (void)!cfgs_value_check(&setting.value);
            cr_assert(++steps <= 200000);
        }
        EXPECT(more, 0, CFGS_ERR_CORRUPT);
        cr_assert(++rounds <= CFGS_VIEW_ROUNDS + 1);
    } while (cfgs_view_retry(view));
    EXPECT(cfgs_view_error(view), CFGS_OK, CFGS_ERR_BUSY, CFGS_ERR_LAPPED, CFGS_ERR_CORRUPT, CFGS_ERR_NOT_READY);
}

static void read_stream(cfgs_reader *r)
{
    cfgs_event event;
    cfgs_view view;
    int err = CFGS_OK;

    for (int i = 0; i < 200; i++) {
        err = cfgs_reader_next(r, &event, 0);
        EXPECT(err, CFGS_OK, CFGS_ERR_TIMEOUT, CFGS_ERR_CLOSED, CFGS_ERR_CORRUPT, CFGS_ERR_BUSY, CFGS_ERR_MEMORY);
        if (err != CFGS_OK)
            break;
        if (event.kind == CFGS_EVENT_SNAPSHOT && cfgs_view_at(r, &event, &view) == CFGS_OK)
            read_view(&view);
        if (event.kind == CFGS_EVENT_UPDATE)
            (void)!cfgs_value_check(&event.setting.value);
    }
}

static void read_section(cfgs_reader *r, const char *section)
{
    cfgs_copy *copy;
    int err = cfgs_get_section(r, section, &copy);
    /* Keys that are no text any more cannot be built into a map. */
    EXPECT(err, POINT, CFGS_ERR_ENCODING, CFGS_ERR_TOO_LARGE, CFGS_ERR_INVALID);
    if (err == CFGS_OK)
        cfgs_copy_free(copy);
}

static void read_everything(cfgs_reader *r, uint64_t seed)
{
    cfgs_reader_info info;
    cfgs_view view;
    cfgs_handle *handle;
    char key[32];
    int64_t i;

    EXPECT(cfgs_reader_status(r, &info, sizeof info), CFGS_OK);
    cr_assert(memchr(info.origin, '\0', sizeof info.origin) && memchr(info.control_path, '\0',
                                                                      sizeof info.control_path));
    EXPECT(cfgs_reader_wait_ready(r, 0), CFGS_OK, CFGS_ERR_TIMEOUT, CFGS_ERR_BUSY, CFGS_ERR_CORRUPT);
    for (uint64_t n = 0; n < 6; n++) {
        unsigned which = (unsigned)((seed + n * 9) % SETTINGS);
        snprintf(key, sizeof key, "section%u.key%u", which % 3, which);
        read_key(r, key);
    }
    ok(cfgs_handle_new(r, key, &handle));
    for (int again = 0; again < 3; again++)
        EXPECT(cfgs_handle_get_int(handle, &i), POINT, CFGS_ERR_RANGE);
    cfgs_handle_free(handle);
    int err = cfgs_view_begin(r, &view);
    EXPECT(err, CFGS_OK, CFGS_ERR_NOT_READY, CFGS_ERR_BUSY, CFGS_ERR_CORRUPT);
    if (err == CFGS_OK)
        read_view(&view);
    read_stream(r);
    read_section(r, seed % 2 ? "" : "section1");
}

/* Opened before the damage or after it. */
static void damaged_rounds(bool bulk_last, uint64_t seed, int rounds)
{
    const char *instance = new_instance();
    struct patch patches[3];
    int opened = 0;

    signal(SIGALRM, on_alarm);
    make_image(instance, bulk_last);
    for (round_number = 0; round_number < rounds; round_number++) {
        cfgs_reader *r = NULL;
        uint64_t before = seed;
        alarm(ROUND_LIMIT_S);
        if (round_number % 2 == 0)
            r = open_reader(instance);
        if (round_number % 4 == 0)
            (void)int_of(r, "section0.key6");
        size_t count = apply(&seed, patches);
        if (r == NULL) {
            EXPECT(cfgs_reader_open(&(cfgs_reader_options){.instance = instance}, &r), CFGS_OK, CFGS_ERR_NOT_ARENA,
                   CFGS_ERR_LAYOUT, CFGS_ERR_FEATURE, CFGS_ERR_TRUNCATED, CFGS_ERR_CORRUPT);
        }
        if (r != NULL) {
            read_everything(r, before % 1000);
            opened++;
        }
        cfgs_reader_close(r);
        revert(patches, count);
    }
    alarm(0);
    cr_assert_gt(opened, rounds / 2);
    cfgs_reader *r = open_reader(instance);
    cr_assert_eq(int_of(r, "section0.key6"), 6001, "the damage was undone each time");
    cfgs_reader_close(r);
    munmap(image, image_bytes);
}

Test(image, damaged_bytes_with_a_full_ring_give_documented_errors_only)
{
    damaged_rounds(false, 1, ROUNDS / 2);
}

Test(image, damaged_bytes_with_an_empty_ring_give_documented_errors_only)
{
    damaged_rounds(true, 2, ROUNDS / 2);
}

/* The values that most often break arithmetic, in every word of the header and the live bank, one at a time. */
Test(image, every_header_word_at_every_extreme_gives_documented_errors_only)
{
    static const uint64_t extremes[] = {0, 1, 3, UINT32_MAX, INT64_MAX, UINT64_C(1) << 63, UINT64_MAX - 1, UINT64_MAX};
    const char *instance = new_instance();

    signal(SIGALRM, on_alarm);
    for (int bulk_last = 0; bulk_last < 2; bulk_last++) {
        make_image(instance, bulk_last);
        for (uint64_t at = 0; at < sizeof(struct arena_header); at += 8)
            for (size_t i = 0; i < sizeof extremes / sizeof extremes[0]; i++) {
                uint64_t old = word_at(at);
                cfgs_reader *r = open_reader(instance);
                round_number = (int)at;
                alarm(ROUND_LIMIT_S);
                memcpy(image + at, &extremes[i], 8);
                read_everything(r, i);
                cfgs_reader_close(r);
                memcpy(image + at, &old, 8);
            }
        alarm(0);
        munmap(image, image_bytes);
        cr_assert_eq(unlink(arena_path(instance)), 0);
    }
}

/* A ring whose slots were never used, and a last ID behind which there is no other: the search for the oldest ends. */
Test(image, the_last_possible_id_over_an_unused_ring_gives_documented_errors_only)
{
    const char *instance = new_instance();
    cfgs_publisher *p = publish_with(instance, (cfgs_publisher_options){.ring_slots = 16, .max_size = 1u << 20});

    load_ints(p, "section0.key", 100, false);
    cfgs_publisher_close(p, false);
    signal(SIGALRM, on_alarm);
    for (uint64_t last = UINT64_MAX; last > UINT64_MAX - 20; last--) {
        cfgs_reader *r = open_reader(instance);
        int fd = open(arena_path(instance), O_RDWR | O_CLOEXEC);
        struct arena_header *header = mmap(NULL, ARENA_HEADER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        cr_assert_neq((void *)header, MAP_FAILED);
        close(fd);
        round_number = -1;
        alarm(ROUND_LIMIT_S);
        header->bank[header->current & 1].sequence = last;
        read_everything(r, 0);
        cr_assert_eq(int_of(r, "section0.key6"), 6);
        munmap(header, ARENA_HEADER_BYTES);
        cfgs_reader_close(r);
    }
    alarm(0);
}

/* What a producer makes of the same: it opens, by recovery or by replacing, and the damage is gone. */
Test(image, a_producer_recovers_from_or_replaces_every_damaged_arena)
{
    const char *instance = new_instance();
    uint64_t seed = 3;
    signal(SIGALRM, on_alarm);
    for (round_number = 0; round_number < 600; round_number++) {
        struct patch patches[3];
        cfgs_publisher *p = NULL;
        cfgs_error_detail detail = {0};
        alarm(ROUND_LIMIT_S);
        (void)unlink(arena_path(instance));
        make_image(instance, round_number % 2);
        (void)apply(&seed, patches);
        munmap(image, image_bytes);
        int err = cfgs_publisher_open(&(cfgs_publisher_options){.instance = instance, .detail = &detail}, &p);
        EXPECT(err, CFGS_OK, CFGS_ERR_FEATURE);
        if (err != CFGS_OK)
            continue;
        load_ints(p, "section0.key", 40, true);
        cfgs_reader *r = reader_of(p);
        cr_assert_eq(int_of(r, "section0.key39"), 39, "round %d", round_number);
        cfgs_view view;
        cfgs_iterator iterator = {0};
        cfgs_setting setting;
        bool seen[40] = {false};
        ok(cfgs_view_begin(r, &view));
        while (cfgs_view_next(&view, &iterator, "", 0, &setting) == 1) {
            int number = -1;
            cr_assert_eq(sscanf(setting.key.data, "section0.key%d", &number), 1, "round %d: '%.*s' is still there",
                         round_number, (int)setting.key.length, setting.key.data);
            cr_assert(number < 40 && !seen[number], "round %d: key %d is there twice", round_number, number);
            seen[number] = true;
        }
        cr_assert_not(cfgs_view_retry(&view));
        ok(cfgs_view_error(&view));
        cr_assert_eq(status_of(r).settings, 40, "round %d: %llu", round_number,
                     (unsigned long long)status_of(r).settings);
        cfgs_reader_close(r);
        cfgs_publisher_close(p, false);
    }
    alarm(0);
}

/* ---- a header that changes under its readers --------------------------------------------------------------------- */

static atomic_bool flipping;

static void *flip_main(void *argument)
{
    uint64_t seed = 11;
    (void)argument;
    while (atomic_load(&flipping)) {
        uint64_t at = random_next(&seed) % (sizeof(struct arena_header) / 8) * 8;
        cfgs_word *word = (cfgs_word *)(void *)(image + at);
        uint64_t old = atomic_load(word);
        atomic_store(word, damage_word(&seed, old));
        for (volatile int pause = 0; pause < 50; pause++)
            ;
        atomic_store(word, old);
    }
    return NULL;
}

/* shm-pitfalls 23: what was checked is what is used. */
Test(image, a_header_that_flips_under_readers_gives_documented_errors_only)
{
    const char *instance = new_instance();
    pthread_t thread;

    signal(SIGALRM, on_alarm);
    make_image(instance, false);
    atomic_store(&flipping, true);
    cr_assert_eq(pthread_create(&thread, NULL, flip_main, NULL), 0);
    for (round_number = 0; round_number < 3000; round_number++) {
        cfgs_reader *r = NULL;
        alarm(ROUND_LIMIT_S);
        EXPECT(cfgs_reader_open(&(cfgs_reader_options){.instance = instance}, &r), CFGS_OK, CFGS_ERR_NOT_ARENA,
               CFGS_ERR_LAYOUT, CFGS_ERR_FEATURE, CFGS_ERR_TRUNCATED, CFGS_ERR_CORRUPT);
        if (r != NULL)
            read_everything(r, (uint64_t)round_number);
        cfgs_reader_close(r);
    }
    alarm(0);
    atomic_store(&flipping, false);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    munmap(image, image_bytes);
}
