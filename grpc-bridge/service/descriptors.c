/* service/descriptors.c: a walk over a FileDescriptorSet (google/protobuf/descriptor.proto), which is our own build's
 * and so taken at its word.  SPDX-License-Identifier: Apache-2.0 */
#include "service/descriptors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const unsigned char service_descriptors[]; /* embed.cmake */
extern const size_t service_descriptors_length;

enum {
    SET_FILE = 1,
    NAME = 1, /* of everything that has one */
    FILE_PACKAGE = 2,
    FILE_DEPENDENCY = 3,
    FILE_SERVICE = 6
};

/* What can be named.  The values of an enum stand beside it, not within. */
enum kind { KIND_NONE, KIND_FILE, KIND_MESSAGE, KIND_ENUM, KIND_SERVICE, KIND_LEAF };

static const struct {
    enum kind parent;
    unsigned field;
    enum kind kind;
} CHILDREN[] = {
    {KIND_FILE, 4, KIND_MESSAGE},    {KIND_FILE, 5, KIND_ENUM},    {KIND_FILE, FILE_SERVICE, KIND_SERVICE},
    {KIND_MESSAGE, 2, KIND_LEAF},    {KIND_MESSAGE, 8, KIND_LEAF}, /* fields and oneofs */
    {KIND_MESSAGE, 3, KIND_MESSAGE}, {KIND_MESSAGE, 4, KIND_ENUM}, {KIND_ENUM, 2, KIND_LEAF},
    {KIND_SERVICE, 2, KIND_LEAF},
};

static enum kind child_of(enum kind parent, unsigned field)
{
    for (size_t i = 0; i < sizeof CHILDREN / sizeof *CHILDREN; i++)
        if (CHILDREN[i].parent == parent && CHILDREN[i].field == field)
            return CHILDREN[i].kind;
    return KIND_NONE;
}

/* ---- fields ------------------------------------------------------------------------------------------------------ */

static uint64_t take_varint(struct span *from)
{
    uint64_t value = 0;
    for (unsigned shift = 0; from->at < from->end && shift < 64; shift += 7) {
        uint8_t byte = *from->at++;
        value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80)
            break;
    }
    return value;
}

/* The next field that is a message or a text; descriptors have none but these and varints.  False: no more. */
static bool next_field(struct span *message, unsigned *field, struct span *content)
{
    while (message->at < message->end) {
        uint64_t tag = take_varint(message), number = take_varint(message);
        if ((tag & 7) != 2)
            continue;
        *field = (unsigned)(tag >> 3);
        *content = (struct span){message->at, message->at + number};
        message->at += number;
        return true;
    }
    return false;
}

/* The first of this number; an empty one if there is none. */
static struct span field_of(struct span message, unsigned wanted)
{
    unsigned field;
    struct span content;
    while (next_field(&message, &field, &content))
        if (field == wanted)
            return content;
    return (struct span){NULL, NULL};
}

static size_t length_of(struct span text) { return (size_t)(text.end - text.at); }

/* What follows the name within a text that begins with it; NULL: it does not. */
static const char *after_name(const char *text, struct span name)
{
    size_t length = length_of(name);
    return length && strncmp(text, (const char *)name.at, length) == 0 ? text + length : NULL;
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

struct span descriptors_file(unsigned file)
{
    struct span set = {service_descriptors, service_descriptors + service_descriptors_length}, content;
    unsigned field;
    while (next_field(&set, &field, &content))
        if (field == SET_FILE && file-- == 0)
            return content;
    return (struct span){NULL, NULL};
}

bool descriptors_find_file(const char *name, unsigned *file)
{
    struct span content;
    for (*file = 0; content = descriptors_file(*file), content.at; ++*file) {
        const char *rest = after_name(name, field_of(content, NAME));
        if (rest && !*rest)
            return true;
    }
    return false;
}

void descriptors_mark_imports(unsigned file, bool marked[DESCRIPTOR_FILES_MAX])
{
    struct span content = descriptors_file(file), import;
    unsigned field;
    while (next_field(&content, &field, &import)) {
        char name[DESCRIPTOR_NAME_BYTES];
        unsigned found;
        if (field != FILE_DEPENDENCY)
            continue;
        snprintf(name, sizeof name, "%.*s", (int)length_of(import), (const char *)import.at);
        if (descriptors_find_file(name, &found) && !marked[found]) {
            marked[found] = true;
            descriptors_mark_imports(found, marked);
        }
    }
}

/* ---- symbols ----------------------------------------------------------------------------------------------------- */

static enum kind find_within(struct span parent, enum kind kind, const char *symbol);

static enum kind find_at(struct span child, enum kind kind, const char *symbol)
{
    enum kind found = kind == KIND_ENUM ? find_within(child, kind, symbol) : KIND_NONE;
    const char *rest = after_name(symbol, field_of(child, NAME));
    if (found != KIND_NONE || !rest)
        return found;
    if (!*rest)
        return kind;
    return *rest == '.' && kind != KIND_ENUM ? find_within(child, kind, rest + 1) : KIND_NONE;
}

/* What the symbol is that begins in this scope. */
static enum kind find_within(struct span parent, enum kind kind, const char *symbol)
{
    enum kind found = KIND_NONE;
    unsigned field;
    struct span child;
    while (found == KIND_NONE && next_field(&parent, &field, &child))
        if (child_of(kind, field) != KIND_NONE)
            found = find_at(child, child_of(kind, field), symbol);
    return found;
}

static enum kind find(const char *symbol, unsigned *file)
{
    enum kind found = KIND_NONE;
    struct span content;
    for (*file = 0; content = descriptors_file(*file), content.at; ++*file) {
        const char *rest = after_name(symbol, field_of(content, FILE_PACKAGE));
        if (rest && *rest == '.')
            found = find_within(content, KIND_FILE, rest + 1);
        if (found != KIND_NONE)
            break;
    }
    return found;
}

bool descriptors_find_symbol(const char *symbol, unsigned *file) { return find(symbol, file) != KIND_NONE; }

bool descriptors_is_message(const char *name)
{
    unsigned file;
    return find(name, &file) == KIND_MESSAGE;
}

/* ---- services ---------------------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b) { return strcmp(a, b); }

size_t descriptors_services(char names[DESCRIPTOR_SERVICES_MAX][DESCRIPTOR_NAME_BYTES])
{
    size_t count = 0;
    struct span content, service;
    for (unsigned file = 0, field; content = descriptors_file(file), content.at; file++) {
        struct span package = field_of(content, FILE_PACKAGE);
        while (next_field(&content, &field, &service)) {
            if (field != FILE_SERVICE || count == DESCRIPTOR_SERVICES_MAX)
                continue;
            struct span name = field_of(service, NAME);
            snprintf(names[count++], DESCRIPTOR_NAME_BYTES, "%.*s.%.*s", (int)length_of(package),
                     (const char *)package.at, (int)length_of(name), (const char *)name.at);
        }
    }
    qsort(names, count, DESCRIPTOR_NAME_BYTES, compare);
    return count;
}
