/**
 * @file http2/connection.h  One HTTP/2 connection and its calls.  Belongs to one worker thread.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HTTP2_CONNECTION_H
#define HTTP2_CONNECTION_H

#include "bridge/worker.h"

#include <stdint.h>
#include <sys/socket.h>

struct connection;

/** Take over an accepted socket: close-on-exec, non-blocking, TCP_NODELAY set here.  Closes it when it cannot. */
void connection_open(struct worker *worker, int fd, const struct sockaddr_storage *peer);

/** epoll said so. */
void connection_ready(struct connection *connection, uint32_t events);

/** End of the turn, for each in worker->touched: write out what there is, close what is through. */
void connection_flush(struct connection *connection);

/** Once a second: handshake, preface, request, keepalive, idle, stall, credentials, drain. */
void connection_tick(struct connection *connection);

/** Handshakes are over: those that wait for one begin, in their order. */
void connections_begin_handshakes(struct worker *worker);

/** End the calls of the worker whose deadlines are over. */
void connections_expire(struct worker *worker);

/** Begin the graceful end: GOAWAY, PING, second GOAWAY; streams end UNAVAILABLE with this reason. */
void connection_drain(struct connection *connection, const char *reason);

/** At once, without a word. */
void connection_close(struct connection *connection);

/** For epoll's data and the worker's lists. */
struct connection *connection_of_link(struct list *link);
struct connection *connection_of_touched(struct list *link);

#endif
