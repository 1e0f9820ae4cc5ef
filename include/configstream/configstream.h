/**
 * @file configstream.h  Everything: include this one.
 *
 * One process resolves configuration once; every other process on the host reads it from shared memory.
 *
 *     #include <configstream/configstream.h>
 *
 *     cfgs_reader *r;
 *     int64_t port;
 *     int err = cfgs_reader_open(&(cfgs_reader_options){.instance = "default"}, &r);
 *     if (err == CFGS_OK && (err = cfgs_reader_wait_ready(r, 30 * 1000)) == CFGS_OK)
 *         err = cfgs_get_int(r, "cmd_port", &port);
 *
 * Read reader.h first: its head holds the caveats (fork, signals, containers, growth) and who may run beside whom.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CONFIGSTREAM_CONFIGSTREAM_H
#define CONFIGSTREAM_CONFIGSTREAM_H

#include <configstream/cast.h>
#include <configstream/encoded.h>
#include <configstream/error.h>
#include <configstream/event.h>
#include <configstream/get.h>
#include <configstream/publisher.h>
#include <configstream/reader.h>
#include <configstream/setting.h>
#include <configstream/source.h>
#include <configstream/subscription.h>
#include <configstream/value.h>
#include <configstream/version.h>
#include <configstream/view.h>

#endif
