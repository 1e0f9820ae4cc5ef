/* What becomes of a call by the frames that answer it.  SPDX-License-Identifier: Apache-2.0 */
#include "client/rpc.h"

#include <criterion/criterion.h>
#include <nghttp2/nghttp2.h>
#include <string.h>

static struct rpc rpc;
static struct failure failure;
static unsigned begun, taken;
static int refuse_with;

static int on_begin(void *context, struct failure *why)
{
    (void)context, (void)why;
    begun++;
    return CFGS_OK;
}

static int on_take(void *context, const uint8_t *message, size_t length, struct failure *why)
{
    (void)context, (void)message, (void)length;
    taken++;
    return refuse_with ? failure_set(why, refuse_with, "refused") : CFGS_OK;
}

static void setup(void)
{
    rpc_clear(&rpc);
    rpc.streaming = true;
    rpc.message_max = 16;
    rpc.begin = on_begin;
    rpc.take = on_take;
}

static void teardown(void) { rpc_clear(&rpc); }

TestSuite(client_rpc, .init = setup, .fini = teardown);

static void field(const char *name, const char *value)
{
    rpc_field(&rpc, name, strlen(name), value, strlen(value));
}

static void answer(const char *http_status, const char *type)
{
    field(":status", http_status);
    field("content-type", type);
    rpc_headers_done(&rpc, false);
}

static void data(const char *bytes, size_t length)
{
    rpc_data(&rpc, (const uint8_t *)bytes, length, 1);
}

static int end(const char *status, const char *message)
{
    if (status)
        field("grpc-status", status);
    if (message)
        field("grpc-message", message);
    rpc_headers_done(&rpc, true);
    rpc_closed(&rpc, NGHTTP2_NO_ERROR);
    return rpc_outcome(&rpc, "the call", &failure);
}

Test(client_rpc, a_stream_gets_its_messages_and_its_status)
{
    answer("200", "application/grpc+proto");
    cr_expect_eq(begun, 1);
    data("\0\0\0\0\2ab\0\0\0\0\0\0\0\0", 15);
    data("\0\1z", 3);
    cr_expect_eq(taken, 3);
    cr_expect_eq(end("0", NULL), CFGS_OK);
}

Test(client_rpc, a_status_and_its_text_come_out)
{
    answer("200", "application/grpc");
    cr_expect_eq(end("14", "100%25 away"), CFGS_ERR_REFUSED);
    cr_expect_eq(failure.grpc_status, 14);
    cr_expect_str_eq(failure.text, "the call: UNAVAILABLE: 100% away");
}

Test(client_rpc, trailers_alone_are_an_answer)
{
    field(":status", "200");
    field("content-type", "application/grpc");
    cr_expect_eq(end("12", "unknown service or method"), CFGS_ERR_REFUSED);
    cr_expect_eq(failure.grpc_status, 12);
    cr_expect_eq(begun, 0);
}

Test(client_rpc, interim_answers_are_passed_over)
{
    field(":status", "103");
    rpc_headers_done(&rpc, false);
    cr_expect(!rpc.broken && !rpc.began);
    answer("200", "application/grpc");
    cr_expect(rpc.began);
}

Test(client_rpc, a_status_in_the_first_headers_does_not_count)
{
    field("grpc-status", "0");
    answer("200", "application/grpc");
    cr_expect_eq(end(NULL, NULL), CFGS_ERR_PROTOCOL);
    cr_expect(strstr(failure.text, "without a grpc-status"));
}

Test(client_rpc, an_unreadable_status_is_unknown)
{
    answer("200", "application/grpc");
    cr_expect_eq(end("1x", NULL), CFGS_ERR_REFUSED);
    cr_expect_eq(failure.grpc_status, 2);
}

Test(client_rpc, what_is_no_grpc_is_told_by_its_http_status)
{
    answer("502", "text/html");
    cr_expect(rpc.broken);
    cr_expect_eq(rpc_outcome(&rpc, "the call", &failure), CFGS_ERR_REFUSED);
    cr_expect(strstr(failure.text, "HTTP status 502"));
}

Test(client_rpc, another_content_type_breaks_the_call)
{
    answer("200", "application/grpc-web");
    cr_expect_eq(rpc_outcome(&rpc, "the call", &failure), CFGS_ERR_PROTOCOL);
    cr_expect(strstr(failure.text, "content type"));
}

static void expect_broken(const char *bytes, size_t length, const char *words)
{
    answer("200", "application/grpc");
    data(bytes, length);
    cr_expect(rpc.broken);
    cr_expect_eq(rpc_outcome(&rpc, "the call", &failure), CFGS_ERR_PROTOCOL);
    cr_expect(strstr(failure.text, words), "'%s' does not say '%s'", failure.text, words);
}

Test(client_rpc, a_compressed_message_is_refused) { expect_broken("\1\0\0\0\1a", 6, "compressed"); }
Test(client_rpc, an_unknown_flag_is_refused) { expect_broken("\2\0\0\0\1a", 6, "unknown flag"); }

Test(client_rpc, a_too_large_message_is_refused_by_its_prefix)
{
    expect_broken("\0\xff\xff\xff\xff", 5, "4294967295 bytes; the limit is 16");
    cr_expect_null(rpc.framer.body);
}

Test(client_rpc, an_end_in_the_middle_of_a_message_is_told)
{
    answer("200", "application/grpc");
    data("\0\0\0\0\2a", 6);
    cr_expect_eq(end("0", NULL), CFGS_ERR_PROTOCOL);
    cr_expect(strstr(failure.text, "middle of a message"));
}

Test(client_rpc, a_refused_message_breaks_the_call_and_nothing_more_is_taken)
{
    refuse_with = CFGS_ERR_PROTOCOL;
    answer("200", "application/grpc");
    data("\0\0\0\0\0\0\0\0\0\0", 10);
    cr_expect_eq(taken, 1);
    cr_expect(rpc.broken && rpc.refused);
    cr_expect_eq(rpc_outcome(&rpc, "the call", &failure), CFGS_ERR_PROTOCOL);
    cr_expect_str_eq(failure.text, "refused");
}

Test(client_rpc, headers_have_a_limit)
{
    static char long_value[16 * 1024];
    memset(long_value, 'x', sizeof long_value - 1);
    for (unsigned i = 0; i < 3; i++)
        field("x", long_value);
    cr_expect(!rpc.broken);
    for (unsigned i = 0; i < 2; i++)
        field("x", long_value);
    cr_expect(rpc.broken);
    cr_expect_eq(rpc_outcome(&rpc, "the call", &failure), CFGS_ERR_PROTOCOL);
}

Test(client_rpc, our_metadata_have_a_limit)
{
    char path[RPC_PATH_BYTES + 1];
    memset(path, 'a', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    field("configstream-wire-base", "4294967296");
    cr_expect_str_eq(rpc.wire_base, "4294967296");
    field("configstream-path", path);
    cr_expect(rpc.broken);
}

Test(client_rpc, a_unary_call_has_one_message)
{
    rpc.streaming = false;
    answer("200", "application/grpc");
    data("\0\0\0\0\2ab", 7);
    cr_expect_eq(end("0", NULL), CFGS_OK);
    cr_expect(rpc.framer.length == 2 && memcmp(rpc.framer.body, "ab", 2) == 0);
}

Test(client_rpc, a_second_message_of_a_unary_call_breaks_it)
{
    rpc.streaming = false;
    expect_broken("\0\0\0\0\0\0\0\0\0\0", 10, "second message");
}

Test(client_rpc, ok_without_a_message_is_no_answer)
{
    rpc.streaming = false;
    answer("200", "application/grpc");
    cr_expect_eq(end("0", NULL), CFGS_ERR_PROTOCOL);
}

static int reset_by_peer(uint32_t code)
{
    answer("200", "application/grpc");
    rpc.reset_by_peer = true;
    rpc_closed(&rpc, code);
    return rpc_outcome(&rpc, "the call", &failure);
}

Test(client_rpc, resets_of_the_server_are_statuses)
{
    static const struct {
        uint32_t code;
        int status;
    } cases[] = {{NGHTTP2_REFUSED_STREAM, 14}, {NGHTTP2_CANCEL, 1}, {NGHTTP2_ENHANCE_YOUR_CALM, 8},
                 {NGHTTP2_INADEQUATE_SECURITY, 7}, {NGHTTP2_PROTOCOL_ERROR, 13}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        setup();
        cr_expect_eq(reset_by_peer(cases[i].code), CFGS_ERR_REFUSED);
        cr_expect_eq(failure.grpc_status, cases[i].status);
    }
}

Test(client_rpc, our_own_resets_say_that_http_was_broken)
{
    rpc_closed(&rpc, NGHTTP2_PROTOCOL_ERROR);
    cr_expect_eq(rpc_outcome(&rpc, "the call", &failure), CFGS_ERR_PROTOCOL);
    cr_expect(strstr(failure.text, "HTTP/2"));
}
