/* updates.c: one update as a message: as upstream's fields have it (upstream-facts 1.2, 4.6), filled up, held.
 * SPDX-License-Identifier: Apache-2.0 */
#include "../../shm/support.h"
#include "support.h"

#include <math.h>

static cfgs_publisher *publisher;
static cfgs_reader *reader;
static struct update_frames *frames;

static void set_up(void)
{
    publisher = publish_with(NULL, (cfgs_publisher_options){.in_memory = true, .ring_slots = 16, .origin = "datadog.yaml",
                                                            .max_size = 256u << 20});
    reader = reader_of(publisher);
    first_commit(publisher); /* the first commit is a load, which no update tells of */
    frames = update_frames_new();
    cr_assert_not_null(frames);
}

static void tear_down(void)
{
    update_frames_free(frames);
    cfgs_reader_close(reader);
    cfgs_publisher_close(publisher, false);
}

TestSuite(updates, .init = set_up, .fini = tear_down);

static const struct update_frame *get(uint64_t sequence, size_t at_least)
{
    const struct update_frame *frame = NULL;
    ok(update_frames_get(frames, reader, 1, sequence, at_least, &frame));
    return frame;
}

static Datadog__Model__V1__ConfigEvent *event_at(uint64_t sequence, size_t at_least)
{
    const struct update_frame *frame = get(sequence, at_least);
    Datadog__Model__V1__ConfigEvent *event = event_of(frame->bytes, frame->length);
    cr_assert_eq(event->event_case, DATADOG__MODEL__V1__CONFIG_EVENT__EVENT_UPDATE);
    cr_assert_eq(event->update->sequence_id, (int32_t)sequence);
    cr_assert_str_eq(event->update->origin, "datadog.yaml");
    return event;
}

Test(updates, a_set_has_source_key_and_value)
{
    set_int(publisher, "cmd_port", 5001);
    Datadog__Model__V1__ConfigEvent *event = event_at(1, 0);
    const Datadog__Model__V1__ConfigSetting *setting = event->update->setting;
    cr_assert_str_eq(setting->source, "file");
    cr_assert_str_eq(setting->key, "cmd_port");
    cr_assert_eq(setting->value->kind_case, GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE);
    cr_assert_eq(setting->value->number_value, 5001);
    cr_assert_str_eq(setting->unset_source, "");
    cr_assert(!get(1, 0)->clears_source);
    event_free(event);
}

/* decisions 5 */
Test(updates, a_cleared_source_names_what_the_key_falls_back_to)
{
    cfgs_setting fallback = setting_of("a", cfgs_value_int(1), CFGS_SOURCE_FILE);
    set_value(publisher, "a", cfgs_value_int(2), CFGS_SOURCE_CLI);
    ok(cfgs_publisher_set(publisher, &fallback, CFGS_SOURCE_CLI, NULL));
    Datadog__Model__V1__ConfigEvent *event = event_at(2, 0);
    cr_assert_str_eq(event->update->setting->unset_source, "cli");
    cr_assert_str_eq(event->update->setting->source, "file");
    cr_assert_eq(event->update->setting->value->number_value, 1);
    cr_assert(get(2, 0)->clears_source);
    event_free(event);
}

Test(updates, a_key_that_is_gone_has_neither_source_nor_value)
{
    set_int(publisher, "a", 1);
    remove_key(publisher, "a");
    Datadog__Model__V1__ConfigEvent *event = event_at(2, 0);
    cr_assert_str_eq(event->update->setting->key, "a");
    cr_assert_str_eq(event->update->setting->unset_source, "file");
    cr_assert_str_eq(event->update->setting->source, "");
    cr_assert_null(event->update->setting->value);
    cr_assert(get(2, 0)->clears_source);
    event_free(event);
}

Test(updates, a_value_that_has_no_form_in_a_stream_is_left_out)
{
    cfgs_setting setting = setting_of("a", cfgs_value_double(NAN), CFGS_SOURCE_FILE);
    setting.flags = CFGS_SETTING_LOCAL;
    ok(cfgs_publisher_set(publisher, &setting, CFGS_SOURCE_CLI, NULL));
    Datadog__Model__V1__ConfigEvent *event = event_at(1, 0);
    cr_assert_null(event->update->setting->value);
    cr_assert_str_eq(event->update->setting->source, "file");
    cr_assert_str_eq(event->update->setting->unset_source, "cli");
    cr_assert(get(1, 0)->clears_source);
    event_free(event);
}

/* grpc-wire 6: filled up by a field that the true one overrides, so that every client reads the same. */
Test(updates, a_filled_up_message_says_the_same)
{
    char text[400];
    memset(text, 'x', sizeof text);
    for (size_t length = 1; length < sizeof text; length += 7) {
        set_value(publisher, "a", cfgs_value_string(text, length), CFGS_SOURCE_FILE);
        uint64_t sequence = cfgs_publisher_sequence(publisher);
        size_t plain = get(sequence, 0)->length;
        for (size_t at_least = 1; at_least <= 300; at_least++) {
            size_t filled = get(sequence, at_least)->length;
            cr_assert(filled >= at_least && filled >= plain);
            cr_assert(plain < at_least || filled == plain, "only what is short is filled up");
            cr_assert(filled < at_least + 12 || filled == plain, "and not by much more");
        }
        Datadog__Model__V1__ConfigEvent *event = event_at(sequence, 256);
        cr_assert_eq(strlen(event->update->setting->value->string_value), length);
        event_free(event);
    }
}

Test(updates, what_the_ring_lost_is_lapped_and_what_is_not_committed_is_not_there)
{
    const struct update_frame *frame;
    for (int i = 0; i < 40; i++)
        set_int(publisher, "a", i);
    fails(CFGS_ERR_LAPPED, update_frames_get(frames, reader, 1, 24, 0, &frame));
    fails(CFGS_ERR_NOT_FOUND, update_frames_get(frames, reader, 1, 41, 0, &frame));
    event_free(event_at(25, 0));
    event_free(event_at(40, 0));
    fails(CFGS_ERR_LAPPED, update_frames_get(frames, reader, 2, 40, 0, &frame));
}

Test(updates, one_that_is_held_outlives_the_ring)
{
    set_int(publisher, "a", 1);
    const struct update_frame *held = get(1, 0), *filled;
    cr_assert(update_frames_hold(frames, held));
    filled = get(1, 200);
    cr_assert(update_frames_hold(frames, filled) && filled != held);
    for (int i = 0; i < 200; i++) {
        set_int(publisher, "a", i + 2);
        event_free(event_at((uint64_t)i + 2, 100));
    }
    Datadog__Model__V1__ConfigEvent *event = event_of(held->bytes, held->length);
    cr_assert_eq(event->update->sequence_id, 1);
    event_free(event);
    update_frames_release(frames, filled);
    update_frames_release(frames, held);
}

/* Streams that stand still amid updates must not grow the bridge without bound. */
Test(updates, only_so_much_is_held)
{
    enum { BYTES = 8 << 20 };
    const struct update_frame *held[16];
    char *text = malloc(BYTES);
    unsigned count = 0;
    memset(text, 'x', BYTES);
    for (; count < 16; count++) {
        text[0] = (char)('a' + count);
        set_value(publisher, "a", cfgs_value_string(text, BYTES), CFGS_SOURCE_FILE);
        held[count] = get(count + 1, 0);
        cr_assert(held[count]->length > BYTES);
        if (!update_frames_hold(frames, held[count]))
            break;
        cr_assert(update_frames_hold(frames, held[count]), "once more costs nothing");
    }
    cr_assert_eq(count, 7, "64 MiB, held %u", count);
    for (unsigned i = 0; i < count; i++) {
        update_frames_release(frames, held[i]);
        update_frames_release(frames, held[i]);
    }
    cr_assert(update_frames_hold(frames, get(count + 1, 0)));
    update_frames_release(frames, get(count + 1, 0));
    free(text);
}

/* decisions 4; upstream-facts 6, incident 25 */
Test(updates, ids_on_the_wire_are_positive_and_start_anew_after_the_largest)
{
    const uint64_t last = INT32_MAX;
    cr_assert_eq(wire_id(0), 0);
    cr_assert_eq(wire_id(1), 1);
    cr_assert_eq(wire_id(last), INT32_MAX);
    cr_assert_eq(wire_id(last + 1), 1);
    cr_assert_eq(wire_id(3 * last), INT32_MAX);
    cr_assert_eq(wire_id(3 * last + 1), 1);
    cr_assert(!wire_id_starts_anew(0, 1) && !wire_id_starts_anew(1, last) && !wire_id_starts_anew(last + 1, 2 * last));
    cr_assert(wire_id_starts_anew(last, last + 1) && wire_id_starts_anew(1, 2 * last) && wire_id_starts_anew(0, last + 1));
}
