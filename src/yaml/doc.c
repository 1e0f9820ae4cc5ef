/* yaml/doc.c: libyaml's events, its errors with a place, and the one document that counts.
 * SPDX-License-Identifier: Apache-2.0 */
#include "yaml/doc.h"

#include "base/text.h"
#include "yaml/build.h"
#include "yaml/pool.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

static struct place place_of(yaml_mark_t mark)
{
    return (struct place){(unsigned)mark.line + 1, (unsigned)mark.column + 1};
}

struct input {
    const char *text;
    size_t length;
};

/* libyaml names the byte where its reader stopped (bad UTF-8, control characters), not the line. */
static struct place place_of_offset(struct input input, size_t offset)
{
    struct place place = {1, 1};
    for (size_t i = 0; i < offset && i < input.length; i++) {
        if (input.text[i] == '\n') {
            place.line++;
            place.column = 1;
        } else if ((input.text[i] & 0xc0) != 0x80) {
            place.column++;
        }
    }
    return place;
}

/* What mostly lies behind a reason of libyaml. */
static const char *way_out(const char *reason)
{
    static const struct { const char *part, *way; } ways[] = {
        {"UTF-8", "; save the file as UTF-8"},
        {"UTF-16", "; save the file as UTF-8"},
        {"nicode", "; save the file as UTF-8"},
        {"surrogate", "; save the file as UTF-8"},
        {"control characters", "; save the file as UTF-8, and write such a character as \\xNN between double quotes"},
        {"cannot start any token", "; indent with spaces, and put a value that begins with @, ` or % in quotes"},
        {"mapping values are not allowed", "; put a value that holds ': ' in quotes, look at the indentation, and write "
                                           "a key of more than 1024 characters shorter"},
        {"unexpected end of stream", "; close the quotes"},
        {"expected key", "; look at the indentation"},
        {"expected ':'", "; put ': ' behind the key"},
        {"',' or", "; close the bracket, or put the comma"},
        {"node content", "; put a value here, or '' for an empty one"},
        {"escape", "; write a backslash twice, or use single quotes"},
        {"tag handle", "; take the tag away"},
        {"incompatible YAML", "; take the %YAML line away"},
        {"directive", "; take the line away, or put a value that begins with % in quotes"},
    };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        if (strstr(reason, ways[i].part))
            return ways[i].way;
    return "";
}

/* Does the text end inside brackets?  All other tokens there end behind where they began. */
static bool ends_in_brackets(const struct build *build, const yaml_parser_t *parser)
{
    return build->depth && parser->context && strstr(parser->context, "flow") &&
           parser->problem_mark.index == parser->mark.index;
}

/* libyaml blames the end of the text; what is to be mended began above. */
static bool refuse_unclosed(struct build *build)
{
    struct frame *frame = &build->frames[build->depth - 1];
    const struct node *open = frame->container;
    frame->has_key = false;
    return build_refuse(build, (struct place){open->line, open->column},
                        "the %s that begins here has no end; close it with %s", node_kind_name(open->kind),
                        open->kind == NODE_MAP ? "}" : "]");
}

static bool refuse_parse(struct build *build, const yaml_parser_t *parser, struct input input)
{
    const char *reason = parser->problem ? parser->problem : "cannot be parsed";
    if (parser->error == YAML_MEMORY_ERROR)
        return problem_memory(build->problem);
    if (parser->error == YAML_READER_ERROR)
        return build_refuse(build, place_of_offset(input, parser->problem_offset), "%s%s", reason, way_out(reason));
    if (ends_in_brackets(build, parser))
        return refuse_unclosed(build);
    struct place place = place_of(parser->problem_mark);
    if (!parser->context)
        return build_refuse(build, place, "%s%s", reason, way_out(reason));
    return build_refuse(build, place, "%s (%s that began in line %u)%s", reason, parser->context,
                        place_of(parser->context_mark).line, way_out(reason));
}

static bool take_scalar(struct build *build, const yaml_event_t *event)
{
    const char *tag = (const char *)event->data.scalar.tag;
    struct scalar scalar = {
        .text = (const char *)event->data.scalar.value,
        .length = event->data.scalar.length,
        .tag = tag,
        .plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE,
    };
    return build_scalar(build, &scalar, (const char *)event->data.scalar.anchor, place_of(event->start_mark));
}

enum step { STEP_ON, STEP_END, STEP_FAILED };

static enum step go_on(bool ok)
{
    return ok ? STEP_ON : STEP_FAILED;
}

static enum step take_event(struct build *build, const yaml_event_t *event)
{
    struct place place = place_of(event->start_mark);
    switch (event->type) {
    case YAML_SCALAR_EVENT: return go_on(take_scalar(build, event));
    case YAML_ALIAS_EVENT: return go_on(build_alias(build, (const char *)event->data.alias.anchor, place));
    case YAML_SEQUENCE_START_EVENT:
        return go_on(build_begin(build, NODE_LIST, (const char *)event->data.sequence_start.tag,
                                 (const char *)event->data.sequence_start.anchor, place));
    case YAML_MAPPING_START_EVENT:
        return go_on(build_begin(build, NODE_MAP, (const char *)event->data.mapping_start.tag,
                                 (const char *)event->data.mapping_start.anchor, place));
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT: return go_on(build_end(build));
    case YAML_DOCUMENT_START_EVENT:
        if (!build->doc->root)
            return STEP_ON;
        warnings_add(build->warnings, build->doc->file, place.line, place.column,
                     "a second document starts here; only the first one counts");
        return STEP_END;
    case YAML_STREAM_END_EVENT: return STEP_END;
    default: return STEP_ON;
    }
}

static bool parse(struct build *build, yaml_parser_t *parser, struct input input)
{
    enum step step = STEP_ON;
    while (step == STEP_ON) {
        yaml_event_t event;
        if (!yaml_parser_parse(parser, &event))
            return refuse_parse(build, parser, input);
        step = take_event(build, &event);
        yaml_event_delete(&event);
    }
    return step == STEP_END;
}

/* Nothing at all, or only comments, is a file without settings. */
static bool settle_root(struct build *build)
{
    struct doc *doc = build->doc;
    if (doc->root && doc->root->kind == NODE_MAP)
        return true;
    if (doc->root && doc->root->kind != NODE_NULL)
        return build_refuse(build, (struct place){doc->root->line, doc->root->column},
                            "the top level must be a map of settings, not a %s; write key: value",
                            node_kind_name(doc->root->kind));
    doc->root = pool_alloc(&doc->blocks, sizeof *doc->root);
    if (!doc->root)
        return problem_memory(build->problem);
    *doc->root = (struct node){.kind = NODE_MAP, .line = 1, .column = 1, .weight = 1, .height = 1};
    return true;
}

bool doc_load_text(struct doc *doc, const char *name, const char *text, size_t length, struct warnings *warnings,
                   struct problem *problem)
{
    *doc = (struct doc){.file = name};
    struct build *build = calloc(1, sizeof *build); /* its frames are too much for a stack of unknown depth */
    yaml_parser_t parser;
    if (!build || !yaml_parser_initialize(&parser)) {
        free(build);
        return problem_memory(problem);
    }
    build->doc = doc;
    build->warnings = warnings;
    build->problem = problem;
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, length);
    bool ok = parse(build, &parser, (struct input){text, length}) && settle_root(build);
    yaml_parser_delete(&parser);
    build_free(build);
    free(build);
    if (!ok)
        doc_free(doc);
    return ok;
}

bool doc_load_file(struct doc *doc, const char *path, struct warnings *warnings, struct problem *problem)
{
    struct buffer text = {0};
    *doc = (struct doc){.file = path};
    bool ok = text_from_regular_file(path, DOC_FILE_MAX_BYTES, &text, problem) &&
              doc_load_text(doc, path, text.data, text.length, warnings, problem);
    free(text.data);
    return ok;
}

void doc_free(struct doc *doc)
{
    pool_free(&doc->blocks);
    doc->root = NULL;
}
