/* echo.h: a bare TLS connection over loopback whose other end sends back what it gets: the floor of every round trip.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_ECHO_H
#define BENCH_ECHO_H

struct echo;

/** Fork the other end and connect; the file holds certificate and key.  Dies on failure. */
struct echo *echo_open(const char *cert_file);

/** As many bytes as a small update there and back, in microseconds. */
double echo_round_trip(struct echo *echo);

void echo_close(struct echo *echo);

#endif
