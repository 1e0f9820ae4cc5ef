/**
 * @file service/descriptors.h  Our .proto files as FileDescriptorProtos: as protoc wrote them, embedded at build time.
 *
 * Files are numbered from 0; all they import is among them.  Nothing is indexed: they are a few kilobytes, and walked
 * when somebody asks.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVICE_DESCRIPTORS_H
#define SERVICE_DESCRIPTORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DESCRIPTOR_FILES_MAX = 16, DESCRIPTOR_SERVICES_MAX = 16, DESCRIPTOR_NAME_BYTES = 128 };

struct span {
    const uint8_t *at, *end;
};

/** The encoded FileDescriptorProto; empty beyond the last. */
struct span descriptors_file(unsigned file);

/** By the name that imports use; false: there is none. */
bool descriptors_find_file(const char *name, unsigned *file);

/** Which file declares it: a full name of a message, field, oneof, enum, enum value, service or method. */
bool descriptors_find_symbol(const char *symbol, unsigned *file);

/** Is this the full name of a message? */
bool descriptors_is_message(const char *name);

/** Mark what the file imports, and what that imports. */
void descriptors_mark_imports(unsigned file, bool marked[DESCRIPTOR_FILES_MAX]);

/** The full names of all services, sorted; returns how many. */
size_t descriptors_services(char names[DESCRIPTOR_SERVICES_MAX][DESCRIPTOR_NAME_BYTES]);

#endif
