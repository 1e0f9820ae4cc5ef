/**
 * @file client.h  An HTTP/2 client that sends whatever a test wants, right or wrong, frame by frame.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TEST_CLIENT_H
#define TEST_CLIENT_H

#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct client {
    int fd;
    nghttp2_hd_deflater *deflater;
    nghttp2_hd_inflater *inflater;
    uint8_t *in; /* read, and not taken yet */
    size_t in_length;
};

struct frame {
    uint8_t type, flags;
    int32_t stream;
    uint32_t length;
    uint8_t payload[16384];
};

/** What came of one stream.  Texts are "" where there was none. */
struct reply {
    char http[8], status[8], message[4096], type[64], peer[64], broken[16], session[160], accept[32];
    unsigned header_frames, data_frames;
    size_t small_cost; /* of DATA frames, as newer Rust stacks count */
    bool ended;        /* END_STREAM */
    bool reset;
    uint32_t reset_code;
    uint8_t data[1 << 17];
    size_t data_length;
};

/** A socket of its own, for which there may be no descriptor later. */
void client_prepare(struct client *client);
void client_reach(struct client *client, uint16_t port);
/** Preface and empty SETTINGS. */
void client_greet(struct client *client);
/** Both: connected; nothing is sent yet. */
void client_connect(struct client *client, uint16_t port);
/** Connected, and greeted. */
void client_open(struct client *client, uint16_t port);
void client_close(struct client *client);

void client_write(struct client *client, const void *bytes, size_t length);
void client_frame(struct client *client, uint8_t type, uint8_t flags, int32_t stream, const void *payload, size_t length);
void client_window(struct client *client, int32_t stream, uint32_t bytes);

struct field {
    const char *name, *value;
};
/** HEADERS of these fields, ended by one without a name. */
void client_headers(struct client *client, int32_t stream, uint8_t flags, const struct field *fields);
/** The usual fields of a call, and up to two more; a NULL name: none. */
void client_call(struct client *client, int32_t stream, const char *path, struct field first, struct field second);
/** One message, framed, in one DATA frame. */
void client_message(struct client *client, int32_t stream, const void *message, size_t length, bool end);
/** Call with one message, and END_STREAM. */
void client_unary(struct client *client, int32_t stream, const char *path, const void *message, size_t length);

/** The next frame; false: the connection ended.  PING and SETTINGS are answered. */
bool client_next(struct client *client, struct frame *frame);
/** The next frame of a type; false: the connection ended before. */
bool client_await(struct client *client, uint8_t type, struct frame *frame);
/** Until the stream ended, or has so many bytes of data; frames of other streams are dropped. */
void client_reply(struct client *client, int32_t stream, struct reply *reply, size_t enough);
/** Add a frame to the replies of its stream. */
void client_note(struct client *client, const struct frame *frame, struct reply *reply);
/** True when the server closes the connection within ten seconds; the last GOAWAY's code and text come out. */
bool client_is_closed(struct client *client, uint32_t *code, char text[128]);

#define NO_FIELD ((struct field){NULL, NULL})

#endif
